"""What is left when writing is cut short: all or nothing."""

import errno
import signal
import subprocess
import sys

import pytest

from edge_ad_export import ExportConfig, export
from edge_ad_runtime import Detector
from edge_ad_runtime.errors import ConfigError, ExportError
from edge_ad_runtime.proof.verify import verify

EXACT = ExportConfig(search="exact")


def sent_while_exporting(number, fitted, folder):
    """The exit code of an export that gets a signal once the graph and the bank are written."""
    fitted.save(folder / "plate.fit")
    code = (
        "import os, sys; from edge_ad_export import exporting;"
        "from edge_ad_runtime.commands.main import main;"
        f"exporting.write_references = lambda *given: os.kill(os.getpid(), {int(number)});"
        "main(['export', sys.argv[1], '--out', sys.argv[2]])"
    )
    command = [sys.executable, "-c", code, folder / "plate.fit", folder / "plate.edgead"]
    return subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode


def test_kill_9_during_export_leaves_no_artifact_and_the_next_export_works(fitted, tmp_path):
    out = tmp_path / "plate.edgead"
    assert sent_while_exporting(signal.SIGKILL, fitted, tmp_path) == -signal.SIGKILL
    assert list(tmp_path.glob(".plate.edgead.partial-*/network.onnx"))
    assert not out.exists()
    export(fitted, out, EXACT)
    assert verify(Detector.load(out)).ok
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plate.edgead", "plate.fit"]


def test_sigterm_during_export_leaves_nothing(fitted, tmp_path):
    assert sent_while_exporting(signal.SIGTERM, fitted, tmp_path) == 128 + signal.SIGTERM
    assert [path.name for path in tmp_path.iterdir()] == ["plate.fit"]


def test_no_export_replaces_its_own_fit_and_no_fit_its_own_images(fitted, tmp_path, parts):
    fitted.save(tmp_path / "plate.fit")
    with pytest.raises(ConfigError, match="is not an artifact .* only such a folder is overwritte"):
        export(fitted, tmp_path / "plate.fit", EXACT, overwrite=True)
    for folder in (parts, parts / "train", parts / "train/good"):
        with pytest.raises(ConfigError, match="would be replaced, but .* is read from it"):
            fitted.save(folder, overwrite=True)
    assert sorted(path.name for path in (tmp_path / "plate.fit").iterdir()) == [
        "fit.json", "fit.toml", "held_out.safetensors", "kept.safetensors", "network.safetensors",
    ]  # fmt: skip


@pytest.mark.parametrize("limit", [0, 10_000, 300_000])
def test_a_full_disk_during_fit_is_one_line_too(parts, tmp_path, limit):
    """safetensors has an exception of its own for it."""
    code = (
        "import resource, signal, sys; from edge_ad_runtime.commands.main import main;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}));"
        "main(['fit', *sys.argv[1:], '--weights', 'untrained', '--layers', '1,2', '--size', '64'])"
    )
    child = subprocess.run(
        [sys.executable, "-c", code, parts / "train/good", "--out", tmp_path / "plate.fit"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == 1
    assert "Traceback" not in child.stderr
    last = child.stderr.splitlines()[-1]
    assert last.startswith("edge-ad: ")
    assert last.endswith("; nothing was changed")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "failing", ["exporting.write_references", "search.choose_search", "manifest.hash_file"]
)
def test_a_full_disk_is_one_clear_error_and_leaves_nothing(fitted, tmp_path, monkeypatch, failing):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(f"edge_ad_export.{failing}", full)
    with pytest.raises(ExportError, match="No space left on device; nothing was changed"):
        export(fitted, tmp_path / "a.edgead", EXACT)
    assert list(tmp_path.iterdir()) == []


def test_a_really_full_disk_is_refused_too(fitted, tmp_path):
    """A process may write no file larger than 100 kB: what a full disk does to big files."""
    fitted.save(tmp_path / "plate.fit")
    code = (
        "import resource, signal, sys; from edge_ad_runtime.commands.main import main;"
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
