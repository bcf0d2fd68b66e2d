"""Records are short to read in a diff, and say truly which code they were made with."""

import json
import subprocess

import pytest

from benchmarks.harness import record
from benchmarks.harness.record import RESULTS, as_json, check_tree, measure_missing


@pytest.fixture
def checkout(tmp_path):
    def git(*arguments):
        command = ["git", "-C", str(tmp_path), "-c", "user.name=n", "-c", "user.email=e@x"]
        subprocess.run([*command, *arguments], check=True, capture_output=True)

    (tmp_path / "benchmarks/results").mkdir(parents=True)
    (tmp_path / "code.py").write_text("1\n")
    (tmp_path / "benchmarks/results/a.json").write_text("{}\n")
    git("init")
    git("add", ".")
    git("commit", "-m", "all")
    return tmp_path


def test_json_of_samples_is_one_line_and_the_data_are_the_same():
    value = {
        "ms": (1.5, 2, None), 4: {"x": {}, "y": []}, "é": "a\n", "true": True,
        "pairs": [[1, 2.5], ["name", 1e-9]], "runs": [{"ms": [1]}, {}],
    }  # fmt: skip
    text = as_json(value)
    assert json.loads(text) == json.loads(json.dumps(value))
    assert ' "ms": [1.5, 2, null],\n' in text
    assert "\n  [1, 2.5],\n" in text


def test_json_without_lists_is_what_the_library_writes():
    value = {"a": {"b": 1, "c": {"d": "e"}}, "f": None}
    assert as_json(value) == json.dumps(value, indent=1)


def test_all_records_are_written_as_they_would_be_today():
    for path in RESULTS.glob("*.json"):
        text = path.read_text(encoding="utf-8")
        assert text == as_json(json.loads(text)) + "\n", path.name


def test_a_record_just_written_leaves_the_tree_as_committed(checkout):
    (checkout / "benchmarks/results/a.json").write_text("[]\n")
    (checkout / "benchmarks/results/b.json").write_text("[]\n")
    commit = check_tree(draft=False, root=checkout)
    assert len(commit) == 40


def test_changed_code_is_refused_before_anything_is_measured(checkout):
    (checkout / "code.py").write_text("2\n")
    with pytest.raises(SystemExit, match="code.py"):
        check_tree(draft=False, root=checkout)
    assert check_tree(draft=True, root=checkout).endswith(" modified")


def test_a_folder_without_a_commit_is_refused(tmp_path):
    with pytest.raises(SystemExit, match="no commit"):
        check_tree(draft=False, root=tmp_path)
    assert check_tree(draft=True, root=tmp_path) == "unknown modified"


def test_a_record_that_grows_says_of_each_part_where_it_comes_from(tmp_path, monkeypatch):
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    machines = iter([{"cpu": "A"}] * 2 + [{"cpu": "B"}] * 4)
    monkeypatch.setattr(record, "machine", lambda: next(machines))

    def tasks(value):
        return [
            ("screws | 0", lambda: value),
            ("screws | 1", lambda: value),
            ("nuts", lambda: value),
        ]

    measure_missing("some", "1st", tasks("old"), ["screws | 0"], size=4)
    found = measure_missing("some", "2nd", tasks("new"), ["screws"], size=4)
    assert found == {"screws | 0": "old", "screws | 1": "new"}
    measure_missing("some", "3rd", tasks("newest"), ["screws | 0"], again=True, size=4)
    written = json.loads((tmp_path / "some.json").read_text())
    assert written["found"] == {"screws | 0": "newest", "screws | 1": "new"}
    assert written["origins"] == {
        "screws | 0": {"commit": "3rd", "cpu": "B"}, "screws | 1": {"commit": "2nd", "cpu": "B"},
    }  # fmt: skip
    assert written["size"] == 4


def test_parts_older_than_origins_have_that_of_their_record(tmp_path, monkeypatch):
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    old = {"commit": "1st", "machine": {"cpu": "A"}, "found": {"nuts": 1}}
    (tmp_path / "some.json").write_text(json.dumps(old))
    measure_missing("some", "2nd", [("screws", lambda: 2)], None)
    origins = json.loads((tmp_path / "some.json").read_text())["origins"]
    assert origins["nuts"] == {"commit": "1st", "cpu": "A"}
    assert origins["screws"]["commit"] == "2nd"
