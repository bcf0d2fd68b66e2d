"""Arrays that are hostile under the right hash: ``.npy`` files, and the references' ``.npz``."""

from __future__ import annotations

import io
import pickle
import random
import struct
import zipfile
import zlib
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from benchmarks.robustness.mutations.base import Base, Mutation
from benchmarks.robustness.mutations.damaged import changed_bytes

ARRAYS = ("bank.npy", "bank_neighbours.npy", "projection.npy")
VALUES = "reference/values.npz"

Array = NDArray[np.generic]


def replaced_array(base: Base, rng: random.Random) -> Mutation:
    """One of the arrays has hostile numbers, or a hostile header."""
    name = rng.choice(ARRAYS)
    if rng.random() < 0.5:
        how, array = hostile_numbers(read_npy(base.files[name]), rng)
        content = npy(array)
    else:
        how, content = hostile_header(base.files[name], rng)
    return base.replaced(f"{name}: {how}", {name: content})


def replaced_values(base: Base, rng: random.Random) -> Mutation:
    """The archive of reference values is hostile."""
    members = _members(base.files[VALUES])
    kind = rng.choice(["numbers", "header", "archive", "archive", "bytes", "members"])
    name = rng.choice([*members])
    if kind == "numbers":
        how, array = hostile_numbers(read_npy(members[name]), rng)
        members[name], how = npy(array), f"{name}: {how}"
    elif kind == "header":
        how, members[name] = hostile_header(members[name], rng)
        how = f"{name}: {how}"
    elif kind == "members":
        other = rng.choice([*members])
        members[name] = members[other]
        how = f"{name} is {other}"
        if rng.random() < 0.5:
            del members[other]
    content = _zip(members)
    if kind == "archive":
        choice = rng.choice([*_ODD_ZIPS])
        how, content = f"zip: {choice}", _ODD_ZIPS[choice](members, content, rng)
    elif kind == "bytes":
        how, content = changed_bytes(content, rng)
    return base.replaced(f"{VALUES}: {how}", {VALUES: content})


def read_npy(content: bytes) -> Array:
    return np.asarray(np.lib.format.read_array(io.BytesIO(content), allow_pickle=False))


def npy(array: Array) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.asarray(array), allow_pickle=array.dtype.hasobject)
    return buffer.getvalue()


def hostile_numbers(array: Array, rng: random.Random) -> tuple[str, Array]:
    """The same shape mostly, other numbers."""
    how = rng.choice([*_NUMBERS])
    seed = np.random.default_rng(rng.randrange(1 << 32))
    with np.errstate(all="ignore"):
        return how, np.asarray(_NUMBERS[how](np.array(array), seed))


def _one(value: float) -> Callable[[Array, np.random.Generator], Array]:
    def change(array: Array, rng: np.random.Generator) -> Array:
        flat = array.reshape(-1)
        if not np.issubdtype(array.dtype, np.floating) and not np.isfinite(value):
            flat = flat.astype(np.float32)
        flat[rng.integers(flat.size)] = np.asarray(value).astype(flat.dtype)
        return flat.reshape(array.shape)

    return change


def _rows(array: Array) -> Array:
    return np.atleast_1d(array)


_NUMBERS: dict[str, Callable[[Array, np.random.Generator], Array]] = {
    "nan": _one(np.nan),
    "infinite": _one(np.inf),
    "-infinite": _one(-np.inf),
    "largest": _one(3.4e38),
    "1e20": _one(1e20),
    "-1": _one(-1),
    "2^31 - 1": _one(2**31 - 1),
    "subnormal": lambda a, rng: np.full(a.shape, 1e-42).astype(a.dtype),
    "all nan": lambda a, rng: np.full_like(a, np.nan, dtype=np.float32),
    "zeros": lambda a, rng: np.zeros_like(a),
    "ones": lambda a, rng: np.ones_like(a),
    "negative": lambda a, rng: (a.astype(np.float64) * -1).astype(a.dtype),
    "scaled": lambda a, rng: (a.astype(np.float64) * rng.choice([1e-30, 1e-3, 1e3, 1e30])).astype(
        a.dtype
    ),
    "slightly scaled": lambda a, rng: (a.astype(np.float64) * 1.001).astype(a.dtype),
    "one row noise": lambda a, rng: _with_row(a, rng),
    "noise": lambda a, rng: rng.normal(size=a.shape).astype(a.dtype),
    "shuffled": lambda a, rng: rng.permutation(_rows(a)),
    "reversed": lambda a, rng: _rows(a)[::-1],
    "all the first row": lambda a, rng: np.broadcast_to(_rows(a)[:1], _rows(a).shape).copy(),
    "transposed": lambda a, rng: a.T.copy(),
    "Fortran": lambda a, rng: np.asfortranarray(a),
    "one row less": lambda a, rng: _rows(a)[:-1],
    "one row more": lambda a, rng: np.concatenate([_rows(a), _rows(a)[:1]]),
    "half": lambda a, rng: a.astype(np.float16),
    "double": lambda a, rng: a.astype(np.float64),
    "big-endian": lambda a, rng: a.astype(a.dtype.newbyteorder(">")),
    "complex": lambda a, rng: a.astype(np.complex64),
    "text": lambda a, rng: a.astype("U8"),
    "bool": lambda a, rng: a.astype(bool),
    "dates": lambda a, rng: np.zeros(a.shape, "M8[s]"),
    "structured": lambda a, rng: np.zeros(a.shape, [("a", "<f4")]),
    "nothing": lambda a, rng: a.reshape(-1)[:0],
    "flat": lambda a, rng: a.reshape(-1),
    "deeper": lambda a, rng: a[np.newaxis],
    "scalar": lambda a, rng: np.asarray(a.reshape(-1)[0]),
}


def _with_row(array: Array, rng: np.random.Generator) -> Array:
    rows = _rows(array)
    rows[rng.integers(len(rows))] = rng.normal(size=rows.shape[1:]).astype(rows.dtype)
    return rows.reshape(array.shape)


_DESCR = (
    "'<f4'", "'>f4'", "'|O'", "'<f8'", "'<c8'", "'|S4'", "'<U1'", "'<m8[ns]'", "'|V4'", "'<f16'",
    "'<f999'", "'<i4'", "[('a', '<f4')]", "('<f4', (1000000000,))", "'f4, f4'", "__import__('os')",
    "'<f4' * 10**9", "''", "None",
)  # fmt: skip
_SHAPES = (
    "(832, 64)", "(0, 64)", "(832, 0)", "(-1, 64)", "(832,)", "()", "(9223372036854775807, 64)",
    "(1099511627776, 64)", "(4294967296, 4294967296)", "(832, 64, 1)", "(True, 64)", "(832.0, 64)",
    "(8_32, 64)", "(0x340, 64)", "(٨٣٢, 64)", "(²,)", "(" + "1, " * 70 + ")", "(" * 900 + ")" * 900,
    "(1" + "0" * 190 + ",)", "832, 64",
)  # fmt: skip


def hostile_header(content: bytes, rng: random.Random) -> tuple[str, bytes]:
    """The same data under another header, or a header that lies about its length."""
    data = content[128:]
    version = rng.choice([(1, 0), (1, 0), (2, 0), (3, 0), (0, 0), (4, 0), (255, 255)])
    descr, shape = rng.choice(_DESCR), rng.choice(_SHAPES)
    order = rng.choice(["False", "False", "True", "0", "None"])
    pad = " " * rng.choice([0, 10, 10, 64, 4000, 70_000])
    text = rng.choice(
        [
            f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}{pad}\n",
            f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, 'x': 1, }}{pad}\n",
            f"{{'shape': {shape}, 'fortran_order': {order}, 'descr': {descr}, }}{pad}\n",
            "{" * 3000,
            "",
            "\0" * 100,
            pickle.dumps(print).decode("latin-1"),
        ]
    ).encode("utf-8")
    form = "<H" if version[0] == 1 else "<I"
    length = len(text) + rng.choice([0, 0, 0, 0, 1, -1, 10**6, 2**31])
    length = max(0, min(length, 2 ** (8 * struct.calcsize(form)) - 1))
    start = b"\x93NUMPY" + bytes(version) + struct.pack(form, length)
    return f"header {version} {text[:80]!r} of {length}", start + text + data


def _members(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _zip(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def _patched(signature: bytes, at: int, form: str) -> Callable[..., bytes]:
    """One number of a record of the archive is hostile."""

    def change(members: dict[str, bytes], content: bytes, rng: random.Random) -> bytes:
        places = [i for i in range(len(content)) if content.startswith(signature, i)]
        found, bits = bytearray(content), 8 * struct.calcsize(form)
        value = rng.choice(
            [0, 1, 8, 12, 14, 99, 2**bits - 1, 2 ** (bits - 1), rng.getrandbits(bits)]
        )
        struct.pack_into(form, found, rng.choice(places) + at, value % 2**bits)
        return bytes(found)

    return change


def _claims_more(members: dict[str, bytes], content: bytes, rng: random.Random) -> bytes:
    """Both sizes of a stored member, in its record and in the directory, are far too large."""
    found, size = bytearray(content), rng.choice([2**31, 2**32 - 2, 10**6])
    for signature, at in ((b"PK\x03\x04", 18), (b"PK\x01\x02", 20)):
        struct.pack_into("<II", found, content.index(signature) + at, size, size)
    return bytes(found)


def _quine(members: dict[str, bytes], content: bytes, rng: random.Random) -> bytes:
    """All members are the bytes of one."""
    first = content.index(b"PK\x01\x02")
    found = bytearray(content)
    for at in range(first, len(content) - 46):
        if content.startswith(b"PK\x01\x02", at):
            struct.pack_into("<I", found, at + 42, 0)
    return bytes(found)


def _bomb(members: dict[str, bytes], content: bytes, rng: random.Random) -> bytes:
    name = rng.choice([*members])
    return _zip({**members, name: members[name][:128] + bytes(100_000_000)}, zipfile.ZIP_DEFLATED)


_ODD_ZIPS: dict[str, Callable[[dict[str, bytes], bytes, random.Random], bytes]] = {
    "deflated": lambda members, content, rng: _zip(members, zipfile.ZIP_DEFLATED),
    "bzip2": lambda members, content, rng: _zip(members, zipfile.ZIP_BZIP2),
    "lzma": lambda members, content, rng: _zip(members, zipfile.ZIP_LZMA),
    "bomb": _bomb,
    "with a comment": lambda members, content, rng: (
        content[:-2] + struct.pack("<H", 9) + b"PK\5\6PK\1\2!"
    ),
    "behind other bytes": lambda members, content, rng: rng.randbytes(1000) + content,
    "before other bytes": lambda members, content, rng: content + rng.randbytes(1000),
    "two archives": lambda members, content, rng: content + content,
    "names that climb": lambda members, content, rng: _zip(
        {f"../{n}": c for n, c in members.items()}
    ),
    "names in capitals": lambda members, content, rng: _zip(
        {n.upper(): c for n, c in members.items()}
    ),
    "many members": lambda members, content, rng: _zip(
        {**{f"m{i}": b"" for i in range(20_000)}, **members}
    ),
    "raw deflate of nothing": lambda members, content, rng: zlib.compress(bytes(10_000_000)),
    "members that overlap": _quine,
    "members that claim more": _claims_more,
    "flags": _patched(b"PK\x01\x02", 8, "<H"),
    "method": _patched(b"PK\x01\x02", 10, "<H"),
    "checksum": _patched(b"PK\x01\x02", 16, "<I"),
    "compressed size": _patched(b"PK\x01\x02", 20, "<I"),
    "size": _patched(b"PK\x01\x02", 24, "<I"),
    "length of a name": _patched(b"PK\x01\x02", 28, "<H"),
    "length of an extra": _patched(b"PK\x01\x02", 30, "<H"),
    "disk": _patched(b"PK\x01\x02", 34, "<H"),
    "offset": _patched(b"PK\x01\x02", 42, "<I"),
    "version needed": _patched(b"PK\x01\x02", 6, "<H"),
    "local method": _patched(b"PK\x03\x04", 8, "<H"),
    "local flags": _patched(b"PK\x03\x04", 6, "<H"),
    "local length of a name": _patched(b"PK\x03\x04", 26, "<H"),
    "local length of an extra": _patched(b"PK\x03\x04", 28, "<H"),
    "number of entries": _patched(b"PK\x05\x06", 10, "<H"),
    "size of the directory": _patched(b"PK\x05\x06", 12, "<I"),
    "offset of the directory": _patched(b"PK\x05\x06", 16, "<I"),
}
