"""Files beside the artifact's own that no manifest covers: the device's settings, plans, others."""

from __future__ import annotations

import json
import random
from collections.abc import Callable

from benchmarks.robustness.mutations.base import SPECIALS, Base, Mutation, Special, entry_of
from benchmarks.robustness.mutations.damaged import changed_bytes
from benchmarks.robustness.mutations.resealed import hostile_value
from edge_ad_runtime.device.machine import machine
from edge_ad_runtime.engines.tensorrt.plans import PlanKey

DEVICE = "device.json"
PLAN = PlanKey(library="tensorrt_rtx", version="1.0", target="sm89", graph_sha256="0" * 64)
PLAN_FILE = f"engines/{PLAN.file_name}"
PLAN_CONTENT = bytes(range(256)) * 100


def beside(base: Base, rng: random.Random) -> Mutation:
    """Something hostile beside the artifact, which itself is sound."""
    how = rng.choices([_device, _plan, _other], [50, 40, 10])[0]
    return how(base, rng)


def _device(base: Base, rng: random.Random) -> Mutation:
    here = machine()
    settings = {
        "artifact_sha256": base.manifest["sha256"],
        "cpu": here["cpu"],
        "cores": here["cores"],
        "search": rng.choice(["artifact", "exact"]),
        "threads": 1,
        "reason": "5.0 ms per image",
    }
    return _hostile_json(DEVICE, settings, b"\n", rng)


def _plan(base: Base, rng: random.Random) -> Mutation:
    header = {"schema": 1, "key": dict(vars(PLAN)), "plan": entry_of(PLAN_CONTENT)}
    mutation = _hostile_json(PLAN_FILE, header, b"\n\n" + PLAN_CONTENT, rng)
    if rng.random() < 0.1:
        return Mutation("engines " + (what := rng.choice(SPECIALS)), {"engines": what})
    return mutation


def _hostile_json(name: str, value: dict[str, object], end: bytes, rng: random.Random) -> Mutation:
    """A file that begins with JSON: one that is no file, damaged bytes, or one hostile value."""
    if rng.random() < 0.15:
        what = rng.choice(SPECIALS)
        return Mutation(f"{name} is {what}", {name: what})
    if rng.random() < 0.1:
        how = rng.choice([*_TEXTS])
        return Mutation(f"{name}: {how}", {name: _TEXTS[how]() + end})
    done = "as it should be"
    if rng.random() < 0.7:
        inner = rng.choice([value, *(v for v in value.values() if isinstance(v, dict))])
        key = rng.choice([*inner])
        inner[key] = hostile_value(inner[key], rng)
        done = f"{key} = {inner[key]!r:.60}"
    content = json.dumps(value, indent=2, ensure_ascii=False).encode("utf-8", "surrogatepass") + end
    if rng.random() < 0.3:
        how, content = changed_bytes(content, rng)
        done += f", {how}"
    return Mutation(f"{name}: {done}", {name: content})


_TEXTS: dict[str, Callable[[], bytes]] = {
    "nested": lambda: b"[" * 90_000,
    "too long": lambda: b" " * 100_001,
    "a long number": lambda: b'{"threads": ' + b"9" * 5000 + b"}",
    "a key twice": lambda: b'{"threads": 1, "threads": 2}',
    "not a number": lambda: b'{"threads": NaN}',
    "not UTF-8": lambda: b'{"reason": "\xff"}',
    "UTF-16": lambda: '{"threads": 1}'.encode("utf-16"),
    "empty": lambda: b"",
}


def _other(base: Base, rng: random.Random) -> Mutation:
    """What may lie in the folder and means nothing."""
    names = [
        ".device.json.partial",
        "manifest.json.bak",
        ".DS_Store",
        "engines",
        "\udcff",
        "x" * 99,
    ]
    name = rng.choice(names)
    contents: list[bytes | Special] = [b"", rng.randbytes(1000), *SPECIALS[1:]]
    content = rng.choice(contents)
    shown = content if isinstance(content, str) else f"{len(content)} bytes"
    return Mutation(f"{name!r:.40} is {shown}", {name: content})
