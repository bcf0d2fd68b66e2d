"""Indexes that are hostile under the right hash: hnswlib's file, changed where it is trusted."""

from __future__ import annotations

import random
import struct

import numpy as np

from benchmarks.robustness.mutations.base import Base, Mutation
from benchmarks.robustness.mutations.damaged import changed_bytes

INDEX = "index.hnsw"
_HEADER = struct.Struct("<6QiI3QdQ")  # hnswlib 0.8.0, saveIndex
_FIELDS = (
    "level-0 offset", "capacity", "rows", "row bytes", "label offset", "data offset", "top level",
    "entry", "M", "M of level 0", "links", "multiplier", "ef of construction",
)  # fmt: skip


def replaced_index(base: Base, rng: random.Random) -> Mutation:
    """One or two changes to the index."""
    content = bytearray(base.files[INDEX])
    done = []
    for _ in range(rng.choice([1, 1, 2])):
        done.append(rng.choice([_row, _row, _upper, _graph, _nothing])(content, rng))
    done.append(rng.choice([_header, _bytes, _nothing, _nothing])(content, rng))
    return base.replaced(f"index: {'; '.join(done)}", {INDEX: bytes(content)})


def _word(value: int, rng: random.Random, rows: int) -> int:
    others = [
        0,
        1,
        rows - 1,
        rows,
        rows + 1,
        2**16,
        2**31 - 1,
        2**31,
        2**32 - 1,
        value + 1,
        value - 1,
    ]
    return rng.choice([*others, value ^ 1 << rng.randrange(32), rng.randrange(rows)]) % 2**32


def _header(content: bytearray, rng: random.Random) -> str:
    fields = list(_HEADER.unpack_from(content))
    at = rng.randrange(len(fields))
    if at == 11:
        fields[at] = rng.choice([0.0, -1.0, float("nan"), float("inf"), 1e300])
    elif at in (6, 7):
        fields[at] = rng.choice([0, 1, 2, 3, -1 if at == 6 else 1, 831, 832, 2**31 - 1])
    else:
        near = [fields[at] + rng.choice([-1, 1, 4, 64]), 2 * fields[at], fields[at] // 2]
        fields[at] = rng.choice([*near, 0, 2**31, 2**32, 2**60, 2**63, 2**64 - 1]) % 2**64
    _HEADER.pack_into(content, 0, *fields)
    return f"{_FIELDS[at]} {fields[at]}"


def _sizes(content: bytearray) -> tuple[int, int, int, int]:
    """Rows, bytes per row, and offsets of label and vector."""
    rows, row_bytes, label_at, data_at = _HEADER.unpack_from(content)[2:6]
    assert rows * row_bytes < len(content), "the header is sound"
    return rows, row_bytes, label_at, data_at


def _row(content: bytearray, rng: random.Random) -> str:
    """A word of level 0: a count, a link, a number of the vector, a label."""
    rows, row_bytes, label_at, data_at = _sizes(content)
    row = rng.randrange(rows)
    what, at = rng.choice(
        [
            ("count", 0),
            ("link", 4 * rng.randrange(1, 33)),
            ("number", data_at + 4 * rng.randrange(64)),
            ("label", label_at + 4 * rng.randrange(2)),
        ]
    )
    place = _HEADER.size + row * row_bytes + at
    (old,) = struct.unpack_from("<I", content, place)
    new = _word(old, rng, rows)
    if what == "number":
        numbers = [float("nan"), float("inf"), 1e38, 0.0, -1.0]
        (new,) = struct.unpack("<I", struct.pack("<f", rng.choice(numbers)))
    struct.pack_into("<I", content, place, new)
    return f"row {row}: {what} {old} -> {new}"


def _upper(content: bytearray, rng: random.Random) -> str:
    """A word of the upper levels: a length, a count or a link."""
    rows, row_bytes, *_ = _sizes(content)
    start = _HEADER.size + rows * row_bytes
    words = np.frombuffer(bytes(content[start:]), "<u4", (len(content) - start) // 4)
    used = np.flatnonzero(words)
    at = int(rng.choice(used)) if len(used) and rng.random() < 0.8 else rng.randrange(len(words))
    new = rng.choice([_word(int(words[at]), rng, rows), 68, 136, 68 * rows, 2**32 - 68])
    struct.pack_into("<I", content, start + 4 * at, new)
    return f"upper word {at}: {words[at]} -> {new}"


def _graph(content: bytearray, rng: random.Random) -> str:
    """Links that are all of rows that exist, and lead nowhere: what no bound can see."""
    rows, row_bytes, *_ = _sizes(content)
    how = rng.choice(["to themselves", "none", "all to one", "all random", "full of repeats"])
    for row in range(rows):
        at = _HEADER.size + row * row_bytes
        if how == "none":
            struct.pack_into("<I", content, at, 0)
            continue
        links = {
            "to themselves": [row] * 32,
            "all to one": [7] * 32,
            "all random": [rng.randrange(rows) for _ in range(32)],
            "full of repeats": [(row + 1) % rows] * 32,
        }[how]
        struct.pack_into("<33I", content, at, 32, *links)
    return f"links {how}"


def _nothing(content: bytearray, rng: random.Random) -> str:
    return "and"


def _bytes(content: bytearray, rng: random.Random) -> str:
    how, changed = changed_bytes(bytes(content), rng)
    content[:] = changed
    return how
