import pytest

from edge_ad_runtime.device import has_int8_instructions


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        ("processor : 0\nflags : fpu avx2 fma\n", False),
        ("processor : 0\nflags : fpu avx2 avx512_vnni\n", True),
        ("processor : 0\nFeatures : fp asimd asimddp\n", True),
        ("processor : 0\nFeatures : fp asimd\n", False),
        ("processor : 0\n", None),
    ],
)
def test_instructions_for_int8_are_read_from_cpuinfo(tmp_path, cpuinfo, expected):
    (tmp_path / "cpuinfo").write_text(cpuinfo)
    assert has_int8_instructions(tmp_path / "cpuinfo") is expected


def test_a_system_without_cpuinfo_does_not_say(tmp_path):
    assert has_int8_instructions(tmp_path / "cpuinfo") is None
