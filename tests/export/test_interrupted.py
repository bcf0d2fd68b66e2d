"""What is left when writing is cut short: all or nothing."""

import errno
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from edge_ad.atomic import atomic_folder
from edge_ad_export import ExportConfig, export
from edge_ad_runtime import Detector
from edge_ad_runtime.errors import ConfigError, EdgeADError, ExportError
from edge_ad_runtime.verify import verify

EXACT = ExportConfig(search="exact")


def test_kill_9_during_export_leaves_no_artifact_and_the_next_export_works(fitted, tmp_path):
    fitted.save(tmp_path / "plate.fit")
    out = tmp_path / "plate.edgead"
    code = (  # the graph and the bank are written by then
        "import os, signal, sys; from edge_ad_export import exporting;"
        "from edge_ad_runtime.cli import main;"
        "exporting.choose_search = lambda *given: os.kill(os.getpid(), signal.SIGKILL);"
        "main(['export', sys.argv[1], '--out', sys.argv[2]])"
    )
    child = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "plate.fit", out],
        stderr=subprocess.DEVNULL,
        check=False,
    )
    assert child.returncode == -signal.SIGKILL
    assert list(tmp_path.glob(".plate.edgead.partial-*/features.onnx"))
    assert not out.exists()
    export(fitted, out, EXACT)
    assert verify(Detector.load(out)).ok


@pytest.mark.parametrize("failing", ["write_references", "choose_search", "hash_file"])
def test_a_full_disk_is_one_clear_error_and_leaves_nothing(fitted, tmp_path, monkeypatch, failing):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(f"edge_ad_export.exporting.{failing}", full)
    with pytest.raises(ExportError, match="No space left on device; nothing was changed"):
        export(fitted, tmp_path / "a.edgead", EXACT)
    assert list(tmp_path.iterdir()) == []


def test_a_really_full_disk_is_refused_too(fitted, tmp_path):
    """A process may write no file larger than 100 kB: what a full disk does to big files."""
    fitted.save(tmp_path / "plate.fit")
    code = (
        "import resource, signal, sys; from edge_ad_runtime.cli import main;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000));"
        "main(['export', sys.argv[1], '--out', sys.argv[2], '--search', 'hnsw'])"
    )
    child = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "plate.fit", tmp_path / "a.edgead"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == 1
    assert "Traceback" not in child.stderr
    assert child.stderr.splitlines()[-1].startswith("edge-ad: ")
    assert [p.name for p in tmp_path.iterdir()] == ["plate.fit"]


def test_of_two_exports_to_one_place_at_once_one_wins_whole_and_the_other_is_told(fitted, tmp_path):
    out, all_are_writing = tmp_path / "a.edgead", Barrier(4, timeout=60)

    def attempt(_: int) -> str:
        try:
            with atomic_folder(out, overwrite=False) as partial:
                (partial / "file").write_text("x" * 1000)
                all_are_writing.wait()
        except EdgeADError as exc:
            return str(exc)
        return "won"

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(attempt, range(4)))
    assert results.count("won") == 1
    assert all("appeared" in r or "cannot be written" in r for r in results if r != "won")
    assert [p.name for p in tmp_path.iterdir()] == ["a.edgead"]
    assert (out / "file").read_text() == "x" * 1000


def test_a_failed_overwrite_leaves_the_old_folder(tmp_path):
    out = tmp_path / "a"
    with atomic_folder(out, overwrite=False) as partial:
        (partial / "old").touch()
    with pytest.raises(RuntimeError), atomic_folder(out, overwrite=True) as partial:
        (partial / "new").touch()
        raise RuntimeError
    assert [p.name for p in out.iterdir()] == ["old"]


def test_a_file_in_the_way_and_a_folder_that_cannot_be_made_are_refused(tmp_path):
    (tmp_path / "file").touch()
    for overwrite in (True, False):
        with (
            pytest.raises(ConfigError, match="is a file"),
            atomic_folder(tmp_path / "file", overwrite=overwrite),
        ):
            raise AssertionError
    with (
        pytest.raises(ExportError, match="cannot be written"),
        atomic_folder(Path("/proc/none/a"), overwrite=False),
    ):
        raise AssertionError
