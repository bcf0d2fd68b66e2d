import errno
import os
from threading import Thread

import pytest

from edge_ad_runtime.errors import ConfigError
from edge_ad_runtime.lines_file import LinesFile


def test_lines_are_appended_to_what_is_there(tmp_path):
    path = tmp_path / "new folder/lines"
    LinesFile(path).append("one")
    LinesFile(path).append("two")
    assert path.read_text() == "one\ntwo\n"


def test_a_torn_line_is_ended_and_never_continued(tmp_path):
    path = tmp_path / "lines"
    path.write_text('{"verdict": "go')
    lines = LinesFile(path)
    lines.append("whole")
    assert path.read_text() == '{"verdict": "go\nwhole\n'


def test_what_did_not_fit_is_taken_back(tmp_path, monkeypatch):
    path = tmp_path / "lines"
    lines = LinesFile(path)
    lines.append("one")
    write = os.write

    def nearly_full(descriptor, content):
        if len(content) < 4:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, content[:4])

    monkeypatch.setattr(os, "write", nearly_full)
    with pytest.raises(ConfigError, match="lines: cannot be written: No space left on device"):
        lines.append("a line that is longer")
    assert path.read_text() == "one\n"


def test_a_file_that_was_rotated_away_is_made_anew(tmp_path):
    path = tmp_path / "lines"
    lines = LinesFile(path)
    lines.append("one")
    path.rename(tmp_path / "lines.1")
    lines.append("two")
    assert path.read_text() == "two\n"


def test_a_file_that_cannot_be_made_is_said_at_once(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be written"):
        LinesFile(tmp_path / "file/lines")


def test_what_did_not_fit_is_taken_back_without_the_line_of_another_process(tmp_path, monkeypatch):
    """It came in between, and was cut off with it."""
    path = tmp_path / "lines"
    one, other = LinesFile(path), LinesFile(path)
    appending = Thread(target=other.append, args=["of another"])
    write = os.write

    def full_after_three(descriptor, content):
        if content != b"one\n":
            return write(descriptor, content)
        monkeypatch.setattr(os, "write", full)
        written = write(descriptor, content[:3])
        appending.start()
        appending.join(0.2)  # it waits
        return written

    def full(descriptor, content):
        monkeypatch.setattr(os, "write", write)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full_after_three)
    with pytest.raises(ConfigError):
        one.append("one")
    appending.join()
    assert path.read_text() == "of another\n"
