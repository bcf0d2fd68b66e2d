"""`edge-ad watch`: which images it takes, and the whole command as a process."""

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from edge_ad_runtime.commands.main import main
from edge_ad_runtime.errors import ConfigError
from edge_ad_runtime.images.watched_folder import WatchedFolder, watch


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "camera"
    path.mkdir()
    return path


def put(path: Path, content: bytes, *, changed_ns: int = 1) -> Path:
    path.write_bytes(content)
    os.utime(path, ns=(changed_ns, changed_ns))
    return path


def test_an_image_is_given_when_two_looks_agree_and_once(folder):
    watched = WatchedFolder(folder)
    image = put(folder / "a.png", b"whole")
    assert [watched.complete() for _ in range(4)] == [[], [image], [], []]


@pytest.mark.parametrize(("content", "changed_ns"), [(b"longer", 1), (b"half", 2)])
def test_an_image_that_grows_or_changes_waits(folder, content, changed_ns):
    watched = WatchedFolder(folder)
    image = put(folder / "a.png", b"half")
    assert watched.complete() == []
    put(image, content, changed_ns=changed_ns)
    assert watched.complete() == []
    assert watched.complete() == [image]


def test_images_that_were_there_are_left_alone_unless_asked_for(folder):
    image = put(folder / "a.png", b"old")
    left_alone, asked_for = WatchedFolder(folder), WatchedFolder(folder, existing=True)
    assert [left_alone.complete() for _ in range(3)] == [[], [], []]
    assert [asked_for.complete() for _ in range(3)] == [[image], [], []]


def test_a_copy_that_was_under_way_at_the_start_is_given_when_it_is_complete(folder):
    image = put(folder / "a.png", b"half")
    watched = WatchedFolder(folder)
    assert watched.complete() == []
    put(image, b"the whole of it", changed_ns=2)
    assert [watched.complete() for _ in range(3)] == [[], [image], []]


def test_a_name_that_is_used_again_is_another_image(folder):
    watched = WatchedFolder(folder)
    image = put(folder / "a.png", b"part 1")
    assert [watched.complete() for _ in range(2)] == [[], [image]]
    put(image, b"part 2", changed_ns=2)
    assert [watched.complete() for _ in range(3)] == [[], [image], []]
    image.unlink()
    assert watched.complete() == []
    put(image, b"part 2", changed_ns=2)
    assert [watched.complete() for _ in range(3)] == [[], [image], []]


def test_images_come_oldest_first_and_other_files_and_folders_do_not(folder):
    watched = WatchedFolder(folder)
    put(folder / "a.png", b"1", changed_ns=30)
    put(folder / "b.JPG", b"1", changed_ns=10)
    put(folder / "c.bmp", b"1", changed_ns=30)
    put(folder / "d.png.part", b"1")
    (folder / "e.png").mkdir()
    watched.complete()
    assert [path.name for path in watched.complete()] == ["b.JPG", "a.png", "c.bmp"]


def test_a_file_that_is_replaced_by_one_of_the_same_size_and_time_is_another_image(folder):
    watched = WatchedFolder(folder)
    image = put(folder / "a.png", b"part 1")
    assert [watched.complete() for _ in range(2)] == [[], [image]]
    put(folder / "b.tmp", b"part 2").rename(image)
    assert [watched.complete() for _ in range(3)] == [[], [image], []]
    put(image, b"part 3")  # the same file, its time set back
    assert [watched.complete() for _ in range(3)] == [[], [image], []]


@pytest.mark.parametrize(
    "make",
    [
        lambda path: path.symlink_to(path.name),
        lambda path: path.symlink_to("nowhere.png"),
        os.mkfifo,
    ],
    ids=["loop", "dangling", "fifo"],
)
def test_what_is_no_plain_file_is_given_once_to_get_its_line(folder, make):
    watched = WatchedFolder(folder)
    image = put(folder / "a.png", b"1")
    make(folder / "x.png")
    assert watched.complete() == []
    assert set(watched.complete()) == {image, folder / "x.png"}
    assert watched.complete() == []


def test_a_folder_that_is_not_there_at_the_start_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="none: cannot be watched: No such file or directory"):
        WatchedFolder(tmp_path / "none")


def test_a_folder_that_goes_away_is_waited_for_and_nothing_is_given_twice(folder):
    watched = WatchedFolder(folder)
    image = put(folder / "a.png", b"1")
    assert [watched.complete() for _ in range(2)] == [[], [image]]
    away = folder.rename(folder.with_name("away"))
    assert watched.complete() == []
    assert "camera: cannot be watched: No such file" in str(watched.error)
    away.rename(folder)  # as a share that is mounted again: the same files
    other = put(folder / "b.png", b"1")
    assert [watched.complete() for _ in range(3)] == [[], [other], []]
    assert watched.error is None


def test_told_to_stop_it_gives_no_further_image(folder):
    for name in ("a.png", "b.png"):
        put(folder / name, b"1")
    given: list[Path] = []
    images = watch(WatchedFolder(folder, existing=True), every_s=0, stopped=lambda: bool(given))
    for image in images:
        given.append(image)
    assert [path.name for path in given] == ["a.png"]


def test_maps_into_the_watched_folder_are_wrong_usage(tiny, folder):
    result = CliRunner().invoke(main, ["watch", str(tiny), str(folder), "--maps", str(folder)])
    assert result.exit_code == 2
    assert "another folder than the one that is watched" in result.stderr


@pytest.mark.parametrize("missing", ["folder", "artifact"])
def test_what_is_missing_is_one_clear_line_at_once(tiny, folder, missing):
    arguments = {"artifact": tiny, "folder": folder, missing: folder / "none"}
    result = CliRunner().invoke(
        main, ["watch", str(arguments["artifact"]), str(arguments["folder"])]
    )
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert "none: " in result.stderr


@contextmanager
def watching(*arguments):
    """The command as a process, ready for images; killed if the test fails."""
    command = [sys.executable, "-m", "edge_ad_runtime", "watch", "--every-ms", "20"]
    with subprocess.Popen(
        [*command, *map(str, arguments)],  # a later --every-ms counts
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as child:  # fmt: skip
        try:
            assert child.stderr is not None
            lines = iter(child.stderr.readline, "")  # libraries may say that the processor is new
            assert any(line.startswith("watching ") for line in lines)
            yield child
        finally:
            child.kill()


def deliver(image: Path, content: bytes) -> None:
    """As a camera should: under another name until it is whole."""
    partial = image.with_suffix(".partial")
    partial.write_bytes(content)
    partial.rename(image)


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_it_scores_what_comes_whatever_comes_until_it_is_told_to_stop(
    tiny, good_image, folder, tmp_path, stop
):
    deliver(folder / "before.png", good_image.read_bytes())
    log, maps = tmp_path / "log/verdicts.jsonl", tmp_path / "maps"
    with watching(tiny, folder, "--json-lines", log, "--maps", maps) as child:
        lines = []
        for name, content in {
            "good.png": good_image.read_bytes(),
            "broken.png": good_image.read_bytes()[:500],
            "bad.png": (tiny / "reference/0-stain.png").read_bytes(),
        }.items():
            deliver(folder / name, content)
            lines.append(child.stdout.readline())
        child.send_signal(stop)
        rest, talk = child.communicate(timeout=60)
    assert (child.returncode, rest, talk) == (0, "", "")
    found = [json.loads(line) for line in lines]
    assert [(Path(line["path"]).name, line["verdict"]) for line in found] == [
        ("good.png", "good"), ("broken.png", "error"), ("bad.png", "anomalous"),
    ]  # fmt: skip
    assert all(line["time"].endswith("+00:00") for line in found)
    assert log.read_text() == "".join(lines)
    assert sorted(path.name for path in maps.iterdir()) == ["bad.png.png", "good.png.png"]


def test_it_outlives_whatever_happens_to_its_folder(tiny, good_image, folder, tmp_path):
    lines = tmp_path / "lines.jsonl"
    with watching(tiny, folder, "--json-lines", lines) as child:
        (folder / "loop.png").symlink_to("loop.png")
        (folder / "huge.png").touch()
        os.truncate(folder / "huge.png", 2**40)
        deliver(Path(os.fsdecode(bytes(folder) + b"/b\xff.png")), good_image.read_bytes())
        deliver(folder / "esc\x1b]0;x\x07\n.png", b"no image")
        found = [child.stdout.readline() for _ in range(4)]
        shutil.rmtree(folder)
        assert "waiting for it" in child.stderr.readline()
        folder.mkdir()
        assert "the folder is back" in child.stderr.readline()
        deliver(folder / "next.png", good_image.read_bytes())
        found.append(child.stdout.readline())
        child.send_signal(signal.SIGTERM)
        rest, talk = child.communicate(timeout=60)
    assert (child.returncode, rest, talk) == (0, "", "")
    verdicts = {Path(line["path"]).name: line["verdict"] for line in map(json.loads, found)}
    assert verdicts == {
        "loop.png": "error", "huge.png": "error", "b\udcff.png": "good",
        "esc\x1b]0;x\x07\n.png": "error", "next.png": "good",
    }  # fmt: skip
    assert "".join(found).isprintable() or "\n" in "".join(found)
    assert not any(character in "".join(found) for character in "\x1b\x07\udcff")
    assert lines.read_text() == "".join(found)


def test_it_ends_within_a_second_however_seldom_it_looks(tiny, folder):
    with watching(tiny, folder, "--every-ms", "60000") as child:
        child.send_signal(signal.SIGTERM)
        child.communicate(timeout=45)  # seconds, on a busy machine; it would be sixty
    assert child.returncode == 0


def test_a_lines_file_on_a_full_disk_ends_it_with_one_line(tiny, good_image, folder):
    with watching(tiny, folder, "--json-lines", "/dev/full") as child:
        deliver(folder / "good.png", good_image.read_bytes())
        out, talk = child.communicate(timeout=60)
    assert (child.returncode, out) == (1, "")
    assert talk.splitlines() == ["edge-ad: /dev/full: cannot be written: No space left on device"]


def test_a_map_that_cannot_be_written_does_not_cost_the_verdict(tiny, good_image, folder, tmp_path):
    put(tmp_path / "file", b"in the way")
    with watching(tiny, folder, "--maps", tmp_path / "file") as child:
        deliver(folder / "good.png", good_image.read_bytes())
        line = json.loads(child.stdout.readline())
    assert line["verdict"] == "good"
    assert "cannot be written" in line["map_error"]
