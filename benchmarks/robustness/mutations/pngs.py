"""PNGs whose chunks are hostile and whose checksums are right."""

from __future__ import annotations

import io
import random
import struct
import zlib
from typing import NamedTuple

from benchmarks.robustness.mutations.base import Base, Mutation
from benchmarks.robustness.mutations.damaged import changed_bytes

MAGIC = b"\x89PNG\r\n\x1a\n"
_SIDES = (0, 1, 2, 31, 100_000, 10_000_000, 2**31 - 1, 2**31, 2**32 - 1)
_KINDS = (
    b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"tEXt",
    b"zTXt", b"iTXt", b"bKGD", b"pHYs", b"sBIT", b"hIST", b"sPLT", b"tIME", b"acTL", b"fcTL",
    b"fdAT", b"eXIf", b"cICP", b"mDCv", b"abcd", b"ABCD", b"\0\0\0\0",
)  # fmt: skip


class Chunk(NamedTuple):
    """One chunk; ``claims`` is the length it says it has, where that is not its own."""

    kind: bytes
    content: bytes
    claims: int | None = None


def replaced_png(base: Base, rng: random.Random) -> Mutation:
    """One of the reference images is hostile."""
    name = rng.choice([name for name in base.files if name.endswith(".png")])
    how, content = hostile_png(base.files[name], rng)
    return base.replaced(f"{name}: {how}", {name: content})


def hostile_png(data: bytes, rng: random.Random) -> tuple[str, bytes]:
    """A PNG that was changed in its structure, all checksums right."""
    found = chunks(data) or [Chunk(b"IEND", b"")]
    done = []
    for _ in range(rng.choice([1, 1, 2, 3])):
        how = rng.choice(
            [
                _header,
                _header,
                _added,
                _added,
                _claimed,
                _removed,
                _moved,
                _content,
                _pixels,
                _animated,
            ]
        )
        done.append(how(found, rng))
        found = found or [Chunk(b"IEND", b"")]
    content = joined(found)
    if rng.random() < 0.05:
        how_, content = changed_bytes(content, rng)
        done.append(how_)
    return "; ".join(done), content


def chunks(data: bytes) -> list[Chunk]:
    at, found = len(MAGIC), []
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        found.append(Chunk(kind, data[at + 8 : at + 8 + length]))
        at += 12 + length
    return found


def joined(found: list[Chunk]) -> bytes:
    out = io.BytesIO()
    out.write(MAGIC)
    for kind, content, claims in found:
        length = len(content) if claims is None else claims
        out.write(struct.pack(">I", length) + kind + content)
        out.write(struct.pack(">I", zlib.crc32(kind + content)))
    return out.getvalue()


def header(width: int, height: int, *rest: int) -> Chunk:
    return Chunk(b"IHDR", struct.pack(">II5B", width, height, *rest))


def _header(found: list[Chunk], rng: random.Random) -> str:
    at = next((i for i, c in enumerate(found) if c.kind == b"IHDR" and len(c.content) == 13), None)
    if at is None:
        return "no header is left"
    width, height, *rest = struct.unpack(">II5B", found[at].content)
    field = rng.randrange(7)
    if field < 2:
        sides = [width, height]
        sides[field] = rng.choice([*_SIDES, sides[field] + 1, sides[field] - 1, sides[field] * 2])
        width, height = (side % 2**32 for side in sides)
    else:
        rest[field - 2] = rng.choice([0, 1, 2, 3, 4, 5, 6, 7, 8, 16, 32, 255])
    found[at] = header(width, height, *rest)
    return f"header {width} x {height}, {rest}"


def _added(found: list[Chunk], rng: random.Random) -> str:
    kind = rng.choice(_KINDS)
    text = b"key\0" + bytes(rng.choice([0, 1])) + zlib.compress(bytes(rng.choice([10, 30_000_000])))
    content = rng.choice(
        [b"", b"\0", rng.randbytes(13), rng.randbytes(768), bytes(300_000), text, b"a" * 80 + text]
    )
    at = rng.randrange(len(found) + 1)
    times = rng.choice([1, 1, 1, 1000]) if len(content) < 1000 else 1
    found[at:at] = [Chunk(kind, content)] * times
    return f"{kind!r} of {len(content)} bytes added at {at}, {times} times"


def _claimed(found: list[Chunk], rng: random.Random) -> str:
    at = rng.randrange(len(found))
    length = len(found[at].content)
    claims = rng.choice(
        [0, length + 1, max(0, length - 1), 2**31 - 1, 2**31, 2**32 - 1, 2**32 - 12]
    )
    found[at] = found[at]._replace(claims=claims)
    return f"{found[at].kind!r} claims {claims} bytes of {length}"


def _removed(found: list[Chunk], rng: random.Random) -> str:
    at = rng.randrange(len(found))
    kind = found.pop(at).kind
    return f"{kind!r} removed at {at}"


def _moved(found: list[Chunk], rng: random.Random) -> str:
    chunk = found.pop(rng.randrange(len(found)))
    at = rng.randrange(len(found) + 1)
    found.insert(at, chunk)
    if rng.random() < 0.5:
        found.append(chunk)
    return f"{chunk.kind!r} moved to {at}"


def _content(found: list[Chunk], rng: random.Random) -> str:
    at = rng.choice([i for i, c in enumerate(found) if c.content] or [0])
    if not found[at].content:
        return "nothing is left to change"
    how, content = changed_bytes(found[at].content, rng)
    found[at] = Chunk(found[at].kind, content)
    return f"{found[at].kind!r} {how}, its checksum right"


def _pixels(found: list[Chunk], rng: random.Random) -> str:
    """The compressed rows: too few, too many, other filters, in odd pieces; all checksums right."""
    rows = b"".join(c.content for c in found if c.kind == b"IDAT")
    try:
        raw = zlib.decompress(rows)
    except zlib.error:
        raw = b""
    if not raw:
        return "no rows are left"
    how = rng.choice(
        ["few", "one less", "more", "filters", "pieces", "stored", "no checksum", "flip"]
    )
    changed = bytearray(raw)
    if how == "few":
        del changed[rng.randrange(len(raw)) :]
    elif how == "one less":
        del changed[-1:]
    elif how == "more":
        changed += bytes(rng.choice([1, 1000, 30_000_000]))
    elif how == "filters":
        changed[0] = rng.choice([1, 2, 3, 4, 5, 255])
    elif how == "flip" and changed:
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    packed = zlib.compress(bytes(changed), 0 if how == "stored" else 6)
    if how == "no checksum":
        packed = packed[:-4] + rng.randbytes(4)
    step = rng.choice([1, 7, 4096]) if how == "pieces" else len(packed)
    step = max(step, len(packed) // 5000, 1)
    pieces = [Chunk(b"IDAT", packed[i : i + step]) for i in range(0, len(packed), step)]
    at = next((i for i, c in enumerate(found) if c.kind == b"IDAT"), len(found))
    found[:] = [*found[:at], *pieces, *(c for c in found[at:] if c.kind != b"IDAT")]
    return f"rows: {how}"


def _animated(found: list[Chunk], rng: random.Random) -> str:
    """An animation's chunks: OpenCV 5 reads them."""
    frames, side = (
        rng.choice([0, 1, 2, 2**31, 2**32 - 1]),
        rng.choice([0, 1, 300, 2**31, 2**32 - 1]),
    )
    control = struct.pack(">IIIIIHHBB", 0, side, side, side // 2, 0, 1, 0, rng.choice([0, 3]), 9)
    frame = struct.pack(">I", 1) + zlib.compress(bytes(1000))
    found[1:1] = [Chunk(b"acTL", struct.pack(">II", frames, 0)), Chunk(b"fcTL", control)]
    found.insert(len(found) - 1, Chunk(b"fdAT", frame))
    return f"animated, {frames} frames of {side}"
