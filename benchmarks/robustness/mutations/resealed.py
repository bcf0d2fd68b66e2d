"""Manifests that say something hostile under a correct seal: values, keys, paths, whole members."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

from benchmarks.robustness.mutations.base import MANIFEST, Base, Mutation, entry_of, seal

NUMBERS: tuple[int | float, ...] = (
    0, -1, 1, 2, 3, 9, 15, 16, 17, 100, 255, 256, 257, 831, 832, 833, 1000, 1001, 4096, 4097,
    10_000, 65_536, 2**31 - 1, 2**31, -(2**31), 2**32, 2**53 + 1, 2**62, 2**63, 2**64, 10**19,
    10**21, 10**400, 0.0, -0.0, 5e-324, 1e-320, 1e-30, 1e-12, 1e-4, 0.5, 1.5, 7.0, 1e12, 1e13, 1e38,
    1e39, 1e300, 1.7976931348623157e308, -1e308,
)  # fmt: skip
TEXTS = (
    "", ".", "..", "/", "a/b/c/d/e", "../other.edgead", "/etc/passwd", "/dev/zero", "reference",
    "bank.npy/x", "CON", "a" * 101, "a" * 300, "x" * 2001, "x" * 3_000_000, "\0", "nul\0l", "\n",
    "a\nb", "a ", " a", "-rf", "\x1b[31mred", "\x9b", "\u202egnp", "\ufeff", "\ud800", "é",
    "e\u0301", "exact", "hnsw", "graph", "direct", "patch-search", "fp16", "bf16", "int8",
    "openvino", "tensorrt", "onnxruntime-cuda", "float16", "nearest", "mirror", "given", "vnni",
    "{}", "%s%n", "$(id)", "😀" * 50, "0" * 64, "f" * 64, "F" * 64, "g" * 64,
)  # fmt: skip
_MOST_CHARACTERS = 20_000_000
JUNK: tuple[Any, ...] = (None, True, False, [], {}, [1], [[]], {"a": 1}, [None] * 100, [0, 0, 0])


def resealed(base: Base, rng: random.Random) -> Mutation:
    """One to three hostile changes to the manifest; its SHA-256 is right."""
    mutation = _resealed(base, rng)
    while mutation is None:  # a long text, many times
        mutation = _resealed(base, rng)
    return mutation


def _resealed(base: Base, rng: random.Random) -> Mutation | None:
    manifest = base.copy_of_manifest()
    changes: dict[str, bytes] = {}
    done = []
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        how = rng.choices([_value, _key, _list, _files, _member, _reference], [60, 8, 8, 8, 10, 6])
        done.append(how[0](base, manifest, changes, rng))
    if _length(manifest) > _MOST_CHARACTERS:
        return None
    return Mutation("; ".join(done), {**changes, MANIFEST: seal(manifest)})


def _length(manifest: dict[str, Any]) -> int:
    values = (_at(manifest, path) for path in leaves(manifest))
    return sum(len(value) for value in values if isinstance(value, str))


def hostile_value(value: object, rng: random.Random) -> Any:
    """Something else: of the same type mostly, near the value or at a limit."""
    if rng.random() < 0.12:
        return copy.deepcopy(rng.choice([*JUNK, *NUMBERS[:8], *TEXTS[:8]]))
    if isinstance(value, bool):
        return rng.choice([not value, int(value), str(value)])
    if isinstance(value, int | float):
        near = [value + 1, value - 1, value * 2, value / 2, -value, value * 1e6, float(value)]
        return rng.choice([*near, *NUMBERS])
    if isinstance(value, str):
        return rng.choice([*TEXTS, value + "x", value[:-1], value.upper(), "../" + value])
    return copy.deepcopy(rng.choice(JUNK))


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where each value of a JSON tree is, those that hold others too."""
    inner: Any = ()
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = enumerate(value)
    for key, item in inner:
        yield (*path, key)
        yield from leaves(item, (*path, key))


def _at(tree: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        tree = tree[key]
    return tree


def _value(base: Base, manifest: Any, changes: dict[str, bytes], rng: random.Random) -> str:
    keys = [key for key in manifest if key not in ("files", "sha256")]
    paths = [p for p in leaves(manifest) if p[0] == rng.choice(keys)] or [("schema",)]
    *path, last = rng.choice(paths)
    parent = _at(manifest, tuple(path))
    parent[last] = hostile_value(parent[last], rng)
    return f"{'.'.join(map(str, [*path, last]))} = {parent[last]!r:.60}"


def _objects(manifest: Any) -> list[Any]:
    paths = [(), *leaves(manifest)]
    return [value for p in paths if isinstance(value := _at(manifest, p), dict) and value]


def _key(base: Base, manifest: Any, changes: dict[str, bytes], rng: random.Random) -> str:
    parent = rng.choice(_objects(manifest))
    key = rng.choice([*parent])
    how = rng.choice(["removed", "renamed", "added", "last", "many"])
    if how == "removed":
        del parent[key]
    elif how == "renamed":
        parent[rng.choice([key.upper(), key + "_", "__class__", ""])] = parent.pop(key)
    elif how == "added":
        parent[rng.choice(["extra", "__init__", "sha256", *TEXTS[-6:]])] = rng.choice(JUNK)
    elif how == "last":
        parent[key] = parent.pop(key)
    else:
        parent.update({f"k{i}": i for i in range(rng.choice([101, 2_001, 100_001]))})
    return f"key {key} {how}"


def _list(base: Base, manifest: Any, changes: dict[str, bytes], rng: random.Random) -> str:
    lists = [p for p in leaves(manifest) if isinstance(_at(manifest, p), list)]
    if not lists:
        return "no list is left"
    path = rng.choice(lists)
    found = _at(manifest, path)
    how = rng.choice(["empty", "twice", "reversed", "many", "nested"])
    if how == "empty":
        found.clear()
    elif how == "twice":
        found += copy.deepcopy(found)
    elif how == "reversed":
        found.reverse()
    elif how == "many":
        found[:] = copy.deepcopy(found[:1]) * rng.choice([17, 1001, 5000])
    else:
        found[:] = [copy.deepcopy(found)]
    return f"{'.'.join(map(str, path))} {how}"


def _files(base: Base, manifest: Any, changes: dict[str, bytes], rng: random.Random) -> str:
    files = manifest.get("files")
    if not isinstance(files, dict) or not files:
        return "no files are left"
    name = rng.choice([*files])
    how = rng.choice(["size", "hash", "removed", "renamed", "added", "empty", "sizes"])
    entry = files[name]
    if how == "size" and isinstance(entry, dict):
        entry["size_bytes"] = hostile_value(entry.get("size_bytes", 0), rng)
    elif how == "hash" and isinstance(entry, dict):
        entry["sha256"] = hostile_value(entry.get("sha256", ""), rng)
    elif how == "removed":
        del files[name]
    elif how == "renamed":
        files[rng.choice(TEXTS)] = files.pop(name)
    elif how == "added":
        files[rng.choice(TEXTS)] = entry_of(b"")
    elif how == "empty":
        files[name] = entry_of(b"")
        changes[name] = b""
    else:
        files.update({f"more/{i}": entry_of(b"") for i in range(rng.choice([100, 1_990, 2_001]))})
    return f"files: {name} {how}"


def _member(base: Base, manifest: Any, changes: dict[str, bytes], rng: random.Random) -> str:
    """An ensemble where there was none; its members' files are copies, and some are not there."""
    members = manifest.get("members")
    if not isinstance(members, list) or not members or not isinstance(members[0], dict):
        return "no member is left"
    count = rng.choice([1, 2, 15, 16])
    shares = rng.random() < 0.2
    for i in range(count):
        member = copy.deepcopy(members[0])
        member["folder"] = "" if shares else f"member{i}"
        member["scale"] = rng.choice([1.0, 1.0, 0.5, 1e-12, 1e12])
        members.append(member)
        for name in base.files:
            if "/" in name or name == MANIFEST or (count > 2 and i):
                continue
            changes[f"member{i}/{name}"] = base.files[name]
            if isinstance(manifest.get("files"), dict):
                manifest["files"][f"member{i}/{name}"] = entry_of(base.files[name])
    return f"{count} more members{', in one folder' if shares else ''}"


def _reference(base: Base, manifest: Any, changes: dict[str, bytes], rng: random.Random) -> str:
    reference = manifest.get("reference")
    if not isinstance(reference, list) or not reference or not isinstance(reference[0], dict):
        return "no reference is left"
    how = rng.choice(["none", "other file", "swapped", "more", "longer"])
    if how == "none":
        reference.clear()
    elif how == "other file":
        reference[0]["file"] = rng.choice([*base.files, *TEXTS])
    elif how == "swapped":
        reference.reverse()
    elif how == "more":
        reference += [copy.deepcopy(reference[0]) for _ in range(rng.choice([1, 3, 998]))]
    else:
        del reference[1:]
    return f"reference {how}"
