"""Records are short to read in a diff, and say truly which code they were made with."""

import json
import subprocess

import pytest

from benchmarks.harness.record import RESULTS, as_json, check_tree


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
