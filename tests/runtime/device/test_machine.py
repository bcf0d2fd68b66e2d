import pytest

from edge_ad_runtime.device.machine import saturates_int8


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        ("processor : 0\nflags : fpu avx2 fma\n", True),
        ("processor : 0\nflags : fpu avx2 avx512f avx512bw\n", True),
        ("processor : 0\nflags : fpu avx2 avx512_vnni\n", False),
        ("processor : 0\nflags : fpu avx2 avx_vnni\n", False),
        ("processor : 0\nFeatures : fp asimd asimddp\n", False),
        ("processor : 0\nFeatures : fp asimd\n", False),
        ("processor : 0\n", None),
    ],
)
def test_whether_int8_saturates_is_read_from_cpuinfo(tmp_path, cpuinfo, expected):
    (tmp_path / "cpuinfo").write_text(cpuinfo)
    assert saturates_int8(tmp_path / "cpuinfo") is expected


def test_a_system_without_cpuinfo_does_not_say(tmp_path):
    assert saturates_int8(tmp_path / "cpuinfo") is None
