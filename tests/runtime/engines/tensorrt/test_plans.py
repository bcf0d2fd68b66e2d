"""Plan files: whatever is wrong with one is told before TensorRT sees it."""

import hashlib
import json

import pytest

from edge_ad_runtime.engines.tensorrt.plans import PlanKey, read_plan, write_plan
from edge_ad_runtime.errors import ArtifactError, EngineError

KEY = PlanKey(
    library="tensorrt_rtx", version="1.7.1", target="sm89", graph_sha256="0a1b2c3d4e5f" + 52 * "0"
)
PLAN = b"vtrt\n\n" + bytes(range(256))


def other(**changes):
    return PlanKey(**{**vars(KEY), **changes})


@pytest.fixture
def folder(tmp_path):
    return tmp_path


def test_a_plan_comes_back_as_it_was(folder):
    write_plan(folder, KEY, PLAN)
    assert [path.name for path in folder.iterdir()] == ["tensorrt_rtx-1.7.1-sm89-0a1b2c3d4e5f.plan"]
    assert read_plan(folder, KEY) == PLAN


def test_the_file_is_as_the_readme_has_it(folder):
    write_plan(folder, KEY, PLAN)
    header, plan = (folder / KEY.file_name).read_bytes().split(b"\n\n", 1)
    assert plan == PLAN
    assert json.loads(header) == {
        "schema": 1,
        "key": vars(KEY),
        "plan": {"size_bytes": len(PLAN), "sha256": hashlib.sha256(PLAN).hexdigest()},
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"version": "1.8.0"},
        {"target": "sm120"},
        {"library": "tensorrt"},
        {"graph_sha256": 64 * "f"},
    ],
)
def test_a_plan_of_another_device_version_or_graph_is_not_found(folder, changes):
    write_plan(folder, KEY, PLAN)
    with pytest.raises(EngineError, match=f"no plan for .* found {KEY.file_name}; run edge-ad"):
        read_plan(folder, other(**changes))


@pytest.mark.parametrize("folder", [None, "nowhere"])
def test_without_any_plan_the_command_is_named(folder, tmp_path):
    with pytest.raises(EngineError, match="found none; run edge-ad compile ARTIFACT"):
        read_plan(folder and tmp_path / folder, KEY)


@pytest.mark.parametrize("key", [other(version="1.6.0"), other(graph_sha256="0a1b2c3d4e5f" * 5)])
def test_a_plan_under_the_name_of_another_is_refused(folder, key):
    write_plan(folder, key, PLAN)
    (folder / key.file_name).rename(folder / KEY.file_name)
    with pytest.raises(ArtifactError, match="holds the plan of .*compile again"):
        read_plan(folder, KEY)


def flip(content, at):
    flipped = bytearray(content)
    flipped[at] ^= 1
    return bytes(flipped)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda content: b"", "Expecting value"),
        (lambda content: content[:-1], "261 bytes of plan, not 262"),
        (lambda content: content + b"!", "263 bytes of plan, not 262"),
        (lambda content: flip(content, -1), "SHA-256"),
        (lambda content: flip(content, content.index(b"vtrt")), "SHA-256"),
        (lambda content: flip(content, 1), "JSON|Expecting|control character"),
        (lambda content: content.replace(b'"schema": 1', b'"schema": 2'), "schema 2.* reads 1"),
        (lambda content: content.replace(b'"schema"', b'"scheme"'), "unknown key 'scheme'"),
        (lambda content: content.replace(b"sm89", b"sm\xff9"), "can't decode"),
        (lambda content: PLAN, "Expecting value"),
    ],
)
def test_a_damaged_plan_is_refused(folder, damage, says):
    write_plan(folder, KEY, PLAN)
    path = folder / KEY.file_name
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ArtifactError, match=rf"(?s){KEY.file_name}.*({says}).*compile again"):
        read_plan(folder, KEY)
