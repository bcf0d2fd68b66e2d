"""What every record holds, which code may write one, and where the real data are."""

from __future__ import annotations

import json
import os
import subprocess
from argparse import ArgumentParser
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from benchmarks.harness.process import ROOT
from edge_ad_runtime.device.machine import machine

RESULTS = ROOT / "benchmarks/results"
_PACKAGES = ("torch", "numpy", "onnx", "onnxruntime", "hnswlib", "opencv-python-headless", "scipy")
_MODIFIED = " modified"


def data_root() -> Path:
    """The folder with ``data/`` and ``weights/``, from EDGE_AD_DATA."""
    if "EDGE_AD_DATA" not in os.environ:
        raise SystemExit("set EDGE_AD_DATA to the folder that holds data/ and weights/")
    return Path(os.environ["EDGE_AD_DATA"]).resolve()


def imagenet_resnet18() -> str:
    """Path of the ImageNet ResNet18 weights."""
    return str(data_root() / "weights/resnet18_imagenet_layers1-3.safetensors")


def add_draft_option(parser: ArgumentParser) -> None:
    """``--draft``, which `check_tree` asks for where code is not committed."""
    parser.add_argument(
        "--draft",
        action="store_true",
        help="measure code that is not committed; the record says 'modified'",
    )


def add_only_option(parser: ArgumentParser) -> None:
    """``--only``, for `measure_missing`."""
    parser.add_argument("--only", nargs="+", help="keys of the record, or their beginnings")


def measure_missing(
    name: str,
    commit: str,
    tasks: Iterable[tuple[str, Callable[[], Any]]],
    only: Sequence[str] | None,
    *,
    again: bool = False,
    under: str = "found",
    **content: Any,
) -> dict[str, Any]:
    """Measure what is not in a record yet, and write the record after each, as they take minutes.

    The parts of such a record may be of several days. Its ``origins`` say of each with which commit
    and on which processor it was measured.

    Args:
        name: of the benchmark.
        commit: what `check_tree` gave when the benchmark began.
        tasks: what could be measured, by keys of the record.
        only: the keys that are wanted, or their beginnings. None are all.
        again: measure those that ``only`` names even where the record has them.
        under: the record's key for all of it.
        content: what else the record holds.

    Returns:
        What is in the record now, by its keys.
    """
    before = read_record(name)
    found: dict[str, Any] = before.get(under, {})
    origins = _origins(before, under)
    for key, measured in tasks:
        is_wanted = key.startswith(tuple(only or [""]))
        if is_wanted and (key not in found or (again and only)):
            found[key] = measured()
            origins[key] = {"commit": commit, **machine()}
            print(key, found[key], flush=True)
            write_record(name, commit, {**content, "origins": origins, under: found})
    return found


def check_tree(*, draft: bool, root: Path = ROOT) -> str:
    """Which code is measured; a benchmark calls this before it begins its hours of work.

    Records themselves are no code: those that the benchmark before has written count for nothing.

    Args:
        draft: that the tree may differ from its commit.
        root: of the checkout.

    Returns:
        The commit, for `write_record`; with " modified" after it where the tree differs from it.

    Raises:
        SystemExit: the tree differs, and this is no draft.
    """
    commit = _git(root, "rev-parse", "HEAD")
    changes = _git(root, "status", "--porcelain", "--", ".", ":(exclude)benchmarks/results")
    if commit and not changes:
        return commit
    if not draft:
        found = f"these files differ from the commit:\n{changes}" if commit else "git has no commit"
        raise SystemExit(
            f"a record says which code it was made with, but {found}\n"
            "commit first, or give --draft: the record then says 'modified'"
        )
    return (commit or "unknown") + _MODIFIED


def read_record(name: str) -> dict[str, Any]:
    """The content of ``results/NAME.json``; empty where there is none."""
    path = RESULTS / f"{name}.json"
    content: dict[str, Any] = {}
    if path.exists():
        content = json.loads(path.read_text(encoding="utf-8"))
    return content


def write_record(name: str, commit: str, content: dict[str, Any]) -> None:
    """Write ``results/NAME.json`` with the machine, commit and versions beside the content.

    Args:
        name: of the benchmark.
        commit: what `check_tree` gave when the benchmark began.
        content: everything that was measured.
    """
    record = {
        "benchmark": name,
        "machine": machine(),
        "commit": commit,
        "versions": {d.name: d.version for d in distributions() if d.name in _PACKAGES},
        **content,
    }
    path = RESULTS / f"{name}.json"
    path.write_text(as_json(record) + "\n", encoding="utf-8")
    print(f"wrote {path}")


def as_json(value: Any, depth: int = 0) -> str:
    """JSON of a line per key, in which a list of plain values stays on one line.

    Records hold thousands of samples. With a line for each, a diff shows nothing else.

    >>> print(as_json({"ms": [1.5, 2.0], "runs": [{"name": "a"}]}))
    {
     "ms": [1.5, 2.0],
     "runs": [
      {
       "name": "a"
      }
     ]
    }
    """
    if isinstance(value, dict):
        items = [f"{json.dumps(str(k))}: {as_json(v, depth + 1)}" for k, v in value.items()]
        brackets = "{}"
    elif isinstance(value, list | tuple) and any(map(_is_nested, value)):
        items = [as_json(item, depth + 1) for item in value]
        brackets = "[]"
    else:
        return json.dumps(value)
    if not items:
        return brackets
    indent = "\n" + " " * depth
    return brackets[0] + ",".join(f"{indent} {item}" for item in items) + indent + brackets[1]


def _origins(record: dict[str, Any], under: str) -> dict[str, Any]:
    """With which commit and on which machine each part of a record was measured, by its key.

    Parts that do not say it, as they are older than this, have the origin of their record.
    """
    if not record:
        return {}
    whole = {"commit": record["commit"], **record["machine"]}
    said = record.get("origins", {})
    return {key: said.get(key, whole) for key in record.get(under, {})}


def _is_nested(value: object) -> bool:
    return isinstance(value, dict | list | tuple)


def _git(root: Path, *arguments: str) -> str:
    """What git says; nothing where there is no git or no checkout."""
    command = ["git", "-C", str(root), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except FileNotFoundError:
        return ""
