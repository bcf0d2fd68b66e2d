"""Under a name is the old folder or the new one, whenever the writer dies and whatever fails."""

import errno
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from edge_ad_runtime.artifact import atomic
from edge_ad_runtime.artifact.atomic import (
    FolderKind,
    atomic_folder,
    check_free,
    scratch_folder,
    write_file,
)
from edge_ad_runtime.errors import ConfigError, EdgeADError, EdgeADWarning, ExportError

KIND = FolderKind(name="a thing", marker="thing.json", keys=frozenset({"thing"}))


def fill(folder: Path, name: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "thing.json").write_text(json.dumps({"thing": name}))
    (folder / "more").mkdir()
    (folder / "more/data").write_text(name * 1000)


def content(folder: Path) -> str | None:
    """Which of the two it is; the files in it must agree."""
    if not folder.exists():
        return None
    name = json.loads((folder / "thing.json").read_text())["thing"]
    assert (folder / "more/data").read_text() == name * 1000
    return str(name)


@pytest.fixture
def out(tmp_path):
    fill(tmp_path / "out", "old")
    return tmp_path / "out"


def replace(out: Path) -> None:
    with atomic_folder(out, overwrite=True, kind=KIND) as partial:
        fill(partial, "new")


def test_a_new_folder_replaces_the_old_and_nothing_else_is_left(out):
    replace(out)
    assert content(out) == "new"
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_an_error_in_the_block_leaves_the_old(out):
    with (
        pytest.raises(RuntimeError),
        atomic_folder(out, overwrite=True, kind=KIND) as partial,
    ):
        fill(partial, "new")
        raise RuntimeError
    assert content(out) == "old"
    assert [path.name for path in out.parent.iterdir()] == ["out"]


# What the child does: replace the old folder, and at the n-th call of the functions that change
# or flush files die of SIGKILL or fail as on a full disk. It prints how many calls there were.
CHILD = """
import errno, os, signal, sys
from pathlib import Path
from edge_ad_runtime.artifact import atomic
from edge_ad_runtime.errors import EdgeADError
sys.path.insert(0, sys.argv[5])
from test_atomic import KIND, fill
out, how, at, exchange = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4] == "exchange"
calls = 0

def counted(real):
    def call(*arguments, **settings):
        global calls
        calls += 1
        if calls == at and how == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        if calls == at and how == "fail":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        found = real(*arguments, **settings)
        if calls == at and how == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        return found
    return call

if not exchange:
    def unsupported(source, target, flag):
        if flag == atomic._EXCHANGE:
            raise OSError(errno.EINVAL, "no exchange here")
        source.rename(target)
    atomic._rename = unsupported
for name in ("mkdir", "rename", "rmdir", "unlink", "fsync"):
    setattr(os, name, counted(getattr(os, name)))
atomic._rename = counted(atomic._rename)
try:
    with atomic.atomic_folder(out, overwrite=True, kind=KIND) as partial:
        fill(partial, "new")
except EdgeADError as exc:
    print(calls, exc)
    sys.exit(1)
print(calls)
"""


def run_child(out: Path, how: str, at: int, exchange: str) -> subprocess.CompletedProcess[str]:
    here = str(Path(__file__).parent)
    command = [sys.executable, "-W", "ignore", "-c", CHILD, str(out), how, str(at), exchange, here]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("exchange", ["exchange", "two renames"])
@pytest.mark.parametrize("how", ["before", "after", "fail"])
def test_old_or_new_is_there_whatever_step_it_dies_or_fails_at(out, how, exchange):
    calls = int(run_child(out, "count", 0, exchange).stdout)
    assert 5 < calls < 40
    for at in range(1, calls + 1):
        (out / "more/data").unlink()
        (out / "more").rmdir()
        fill(out, "old")
        found = run_child(out, how, at, exchange)
        assert "Traceback" not in found.stderr
        check_free(out, overwrite=True, kind=KIND)  # what the next run does first
        now = content(out)
        assert now in ("old", "new")
        if "nothing was changed" in found.stdout:
            assert now == "old"
        if "the new one is in place" in found.stdout:
            assert now == "new"
        with scratch_folder(out):
            left = [p.name for p in out.parent.iterdir() if ".partial-" not in p.name]
        assert left == ["out"]
        assert [p.name for p in out.parent.iterdir()] == ["out"]


def test_leftovers_of_the_living_stay(out):
    with scratch_folder(out) as first:
        with scratch_folder(out) as second:
            assert first.is_dir()
            assert second.is_dir()
        assert first.is_dir()
        assert not second.exists()


def test_what_is_not_of_the_kind_is_never_replaced(tmp_path):
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    (photographs / "one.png").touch()
    other = tmp_path / "other"
    other.mkdir()
    (other / "thing.json").write_text('{"name": "somebody else\'s thing.json"}')
    for folder in (photographs, other):
        with pytest.raises(ConfigError, match=r"is not a thing \(no thing.json of one in it\)"):
            replace(folder)
        assert len(list(folder.iterdir())) == 1


def test_an_empty_folder_is_replaced(tmp_path):
    (tmp_path / "out").mkdir()
    replace(tmp_path / "out")
    assert content(tmp_path / "out") == "new"


@pytest.mark.parametrize("within", ["", "more", "more/data"])
def test_what_it_is_made_from_is_never_replaced(out, within):
    with (
        pytest.raises(ConfigError, match="would be replaced, but .* is read from it"),
        atomic_folder(out, overwrite=True, kind=KIND, inputs=[out / within]),
    ):
        raise AssertionError
    assert content(out) == "old"


def test_a_link_to_a_folder_stays_a_link(out):
    link = out.with_name("link")
    link.symlink_to(out)
    replace(link)
    assert link.is_symlink()
    assert content(out) == "new"


def test_of_several_that_write_one_place_at_once_one_wins_whole_and_the_others_are_told(tmp_path):
    out, all_are_writing = tmp_path / "a", Barrier(4, timeout=60)

    def attempt(_: int) -> str:
        try:
            with atomic_folder(out, overwrite=False, kind=KIND) as partial:
                fill(partial, "new")
                all_are_writing.wait()
        except EdgeADError as exc:
            return str(exc)
        return "won"

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(attempt, range(4)))
    assert results.count("won") == 1
    assert all("appeared" in result for result in results if result != "won")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert content(out) == "new"


def test_a_folder_that_another_writer_takes_for_a_leftover_is_made_again(tmp_path, monkeypatch):
    """That can happen before it is locked, and even before it is opened to be locked."""
    opened = os.open
    taken: list[Path] = []

    def open_after_the_other(path, *arguments):
        if not taken:
            taken.append(path)
            Path(path).rmdir()
        return opened(path, *arguments)

    monkeypatch.setattr("os.open", open_after_the_other)
    with atomic_folder(tmp_path / "a", overwrite=False, kind=KIND) as partial:
        fill(partial, "new")
    assert partial not in taken
    assert content(tmp_path / "a") == "new"


def test_an_old_one_that_cannot_be_removed_is_a_warning(out, monkeypatch):
    monkeypatch.setattr("shutil.rmtree", lambda path, ignore_errors: None)
    with pytest.warns(EdgeADWarning, match="the old one could not be removed"):
        replace(out)
    assert content(out) == "new"


def test_a_file_in_the_way_and_a_folder_that_cannot_be_made_are_refused(tmp_path):
    (tmp_path / "file").touch()
    for overwrite in (True, False):
        with (
            pytest.raises(ConfigError, match="is a file"),
            atomic_folder(tmp_path / "file", overwrite=overwrite, kind=KIND),
        ):
            raise AssertionError
    for impossible in (Path("/proc/none/a"), tmp_path / ("x" * 300)):
        with (
            pytest.raises(EdgeADError, match="cannot be written"),
            atomic_folder(impossible, overwrite=False, kind=KIND),
        ):
            raise AssertionError


def test_the_permissions_are_those_that_the_umask_leaves(tmp_path):
    before = os.umask(0o027)
    try:
        with atomic_folder(tmp_path / "a", overwrite=False, kind=KIND) as partial:
            fill(partial, "new")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o750
    assert (tmp_path / "a/thing.json").stat().st_mode & 0o777 == 0o640


def test_a_file_is_the_old_or_the_new_one(tmp_path, monkeypatch):
    path = tmp_path / "settings.json"
    write_file(path, b"old")

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["settings.json"]


@pytest.mark.parametrize(
    "make",
    [os.mkfifo, lambda path: path.symlink_to(path.with_name("other")), Path.touch],
    ids=["fifo", "link", "leftover"],
)
def test_what_has_the_name_of_the_partial_file_is_neither_followed_nor_waited_for(tmp_path, make):
    """A link there, copied with an artifact, let ``edge-ad tune`` overwrite what it leads to."""
    (tmp_path / "other").write_bytes(b"of somebody else")
    make(tmp_path / ".settings.json.partial")
    write_file(tmp_path / "settings.json", b"new")
    assert (tmp_path / "settings.json").read_bytes() == b"new"
    assert (tmp_path / "other").read_bytes() == b"of somebody else"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "settings.json"]


def test_a_full_disk_says_what_is_there(out, monkeypatch):
    def full(folder):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(atomic, "flush", full)
    with pytest.raises(ExportError, match="No space left on device; nothing was changed"):
        replace(out)
    assert content(out) == "old"
