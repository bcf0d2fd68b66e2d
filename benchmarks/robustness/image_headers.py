"""Image files whose structure is hostile: sizes, types, offsets, counts; checksums are right."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable

from benchmarks.robustness.mutations.damaged import changed_bytes
from benchmarks.robustness.mutations.pngs import hostile_png

_WORDS = (
    0, 1, 2, 3, 7, 8, 15, 16, 17, 24, 31, 32, 255, 256, 4095, 9999, 16_383, 16_384, 65_535, 65_536,
    99_999_999, 2**24 - 1, 2**24, 2**30, 2**31 - 1, 2**31, 2**32 - 8, 2**32 - 2, 2**32 - 1,
)  # fmt: skip
_TIFF_TAGS = (
    254, 255, 256, 257, 258, 259, 262, 263, 266, 269, 270, 273, 274, 277, 278, 279, 280, 281, 282,
    284, 296, 301, 317, 320, 322, 323, 324, 325, 330, 338, 339, 347, 512, 513, 514, 529, 530, 531,
    532, 700, 33432, 33723, 34665, 34675, 34853, 37724, 42113, 50838,
)  # fmt: skip
_TIFF_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}


def hostile(data: bytes, rng: random.Random) -> tuple[str, bytes]:
    """One to three changes to the structure of a sound file: in words, and the file."""
    change = next(change for magic, change in _CHANGES.items() if data.startswith(magic))
    done = []
    for _ in range(rng.choice([1, 1, 2, 3])):
        how, data = change(data, rng)
        done.append(how)
    if rng.random() < 0.1:
        how, data = changed_bytes(data, rng)
        done.append(how)
    return "; ".join(done), data


def _word(old: int, bits: int, rng: random.Random) -> int:
    near = [old + 1, old - 1, old * 2, old // 2, old ^ 1 << rng.randrange(bits), -old]
    new: int = rng.choice([*near, *_WORDS])
    return new & (1 << bits) - 1


def _with_field(
    data: bytes, at: int, form: str, rng: random.Random, name: str
) -> tuple[str, bytes]:
    """A number at some place, replaced."""
    if at + struct.calcsize(form) > len(data):
        return f"no {name} is left", data
    (old,) = struct.unpack_from(form, data, at)
    new = _word(old, 8 * struct.calcsize(form), rng)
    found = bytearray(data)
    struct.pack_into(form, found, at, new)
    return f"{name} {old} -> {new}", bytes(found)


_BMP_FIELDS = (
    ("<I", 2, "file size"), ("<I", 10, "offset"), ("<I", 14, "header size"), ("<I", 18, "width"),
    ("<I", 22, "height"), ("<H", 26, "planes"), ("<H", 28, "bits"), ("<I", 30, "compression"),
    ("<I", 34, "size"), ("<I", 46, "colours"), ("<I", 50, "colours that count"), ("<I", 54, "mask"),
)  # fmt: skip


def _bmp(data: bytes, rng: random.Random) -> tuple[str, bytes]:
    form, at, name = rng.choice(_BMP_FIELDS)
    return _with_field(data, at, form, rng, name)


def _jpeg(data: bytes, rng: random.Random) -> tuple[str, bytes]:
    segments = _segments(data)
    if not segments:
        return "no segment is left", data
    at = rng.choice(segments)
    (length,) = struct.unpack_from(">H", data, at + 2)
    how = rng.choice(["length", "field", "removed", "twice", "marker", "added", "exif", "between"])
    name = f"segment {data[at + 1]:02x}"
    if how == "length":
        return _with_field(data, at + 2, ">H", rng, f"{name}, length")
    if how == "field":
        return _with_field(data, at + 4 + rng.randrange(max(1, length - 2)), "B", rng, name)
    if how == "removed":
        return f"{name} removed", data[:at] + data[at + 2 + length :]
    if how == "twice":
        return f"{name} twice", data[:at] + data[at : at + 2 + length] * 2 + data[at + 2 + length :]
    if how == "marker":
        marker = rng.choice([*range(0xC0, 0xFF), 0, 1, 0xFF])
        return f"{name} is {marker:02x}", data[: at + 1] + bytes([marker]) + data[at + 2 :]
    if how == "between":
        filling = rng.choice([b"\xff" * 1000, b"\xff\xd0" * 1000, b"\xff\x01", b"\0", b"\xff\xd9"])
        return f"{filling[:2].hex()} before {name}", data[:at] + filling + data[at:]
    marker = 0xE1 if how == "exif" else rng.choice([0xC0, 0xC4, 0xDB, 0xDD, 0xDA, 0xE1, 0xEE, 0xFE])
    content = _exif(rng) if how == "exif" else rng.randbytes(rng.choice([0, 1, 6, 17, 65_533]))
    added = bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content
    return f"segment {marker:02x} of {len(content)} added", data[:2] + added + data[2:]


def _segments(data: bytes) -> list[int]:
    """Where each segment before the scan's data begins."""
    at, found = 2, []
    while at + 4 <= len(data) and data[at] == 0xFF:
        found.append(at)
        (length,) = struct.unpack_from(">H", data, at + 2)
        if data[at + 1] == 0xDA or length < 2:
            break
        at += 2 + length
    return found


def _exif(rng: random.Random) -> bytes:
    """An orientation, in an EXIF whose offsets, counts and types may lead anywhere."""
    order = rng.choice(["<", ">"])
    offset, count = rng.choice([8, 8, 0, 6, 2**32 - 1]), rng.choice([1, 1, 0, 1000, 65_535])
    orientation = rng.choice([*range(10), 65_535])
    entry = struct.pack(order + "HHIHH", 0x0112, rng.choice([3, 4, 99]), 1, orientation, 0)
    magic = b"II*\0" if order == "<" else b"MM\0*"
    return b"Exif\0\0" + magic + struct.pack(order + "IH", offset, count) + entry + bytes(4)


def _tiff(data: bytes, rng: random.Random) -> tuple[str, bytes]:
    order = "<" if data.startswith(b"II") else ">"
    if len(data) < 8:
        return "no header is left", data
    (directory,) = struct.unpack_from(order + "I", data, 4)
    if directory + 2 > len(data):
        return _with_field(data, 4, order + "I", rng, "directory")
    (count,) = struct.unpack_from(order + "H", data, directory)
    count = min(count, (len(data) - directory - 2) // 12)
    how = rng.choice(
        ["entry", "entry", "entry", "value", "values", "added", "count", "next", "order"]
    )
    entry = directory + 2 + 12 * rng.randrange(max(count, 1))
    if entry + 12 > len(data) or how == "count":
        return _with_field(data, directory, order + "H", rng, "entries")
    tag, kind, length, at = struct.unpack_from(order + "HHII", data, entry)
    if how == "entry":
        place, form, name = rng.choice([(0, "H", "tag"), (2, "H", "type"), (4, "I", "length")])
        found = _with_field(data, entry + place, order + form, rng, f"tag {tag}, {name}")
        if name != "tag" or rng.random() < 0.5:
            return found
        new = rng.choice(_TIFF_TAGS)
        return f"tag {tag} is {new}", data[:entry] + struct.pack(order + "H", new) + data[
            entry + 2 :
        ]
    if how == "value":
        form, place = rng.choice([("H", 8), ("I", 8)])
        return _with_field(data, entry + place, order + form, rng, f"tag {tag}, value")
    if how == "values" and length * _TIFF_BYTES.get(kind, 1) > 4:
        size = _TIFF_BYTES.get(kind, 1)
        form = {1: "B", 2: "H", 4: "I"}.get(size, "I")
        place = at + size * rng.randrange(min(length, 1000))
        return _with_field(data, place, order + form, rng, f"tag {tag}, a value")
    if how == "next":
        return _with_field(data, directory + 2 + 12 * count, order + "I", rng, "next directory")
    if how == "order":
        return "the other byte order", (b"MM\0*" if order == "<" else b"II*\0") + data[4:]
    return _tiff_with_tag(data, order, directory, count, rng)


def _tiff_with_tag(
    data: bytes, order: str, directory: int, count: int, rng: random.Random
) -> tuple[str, bytes]:
    """The directory anew at the end, with one tag more, in its place."""
    entries = [data[at : at + 12] for at in range(directory + 2, directory + 2 + 12 * count, 12)]
    tag, kind = rng.choice(_TIFF_TAGS), rng.choice([1, 2, 3, 4, 5, 7, 11, 12, 13, 16, 18])
    length, value = rng.choice([1, 1, 2, 4, *_WORDS]), rng.choice([1, 2, 3, 5, 6, 7, *_WORDS])
    entries.append(struct.pack(order + "HHII", tag, kind, length, value))
    entries.sort(key=lambda entry: struct.unpack_from(order + "H", entry))
    made = struct.pack(order + "H", len(entries)) + b"".join(entries) + bytes(4)
    at = struct.pack(order + "I", len(data))
    return f"tag {tag} of type {kind}, {length} of {value}", data[:4] + at + data[8:] + made


def _webp(data: bytes, rng: random.Random) -> tuple[str, bytes]:
    how = rng.choice(["size", "chunk size", "kind", "frame", "frame", "extended", "added", "twice"])
    if how == "size":
        return _with_field(data, 4, "<I", rng, "RIFF size")
    if how == "chunk size":
        return _with_field(data, 16, "<I", rng, "chunk size")
    if how == "frame":
        return _with_field(data, 20 + rng.randrange(30), "B", rng, "frame header")
    kinds = [
        b"VP8 ",
        b"VP8L",
        b"VP8X",
        b"ANIM",
        b"ANMF",
        b"ALPH",
        b"ICCP",
        b"EXIF",
        b"XMP ",
        b"\0\0\0\0",
    ]
    kind = rng.choice(kinds)
    if how == "kind":
        return f"kind {kind!r}", data[:12] + kind + data[16:]
    body = data[12:]
    if how == "extended":
        sides = [
            rng.choice([319, 255, 0, 16_383, 2**24 - 1]).to_bytes(3, "little") for _ in range(2)
        ]
        flags = bytes([rng.choice([0, 2, 4, 8, 16, 32, 255]), 0, 0, 0])
        made = b"VP8X" + struct.pack("<I", 10) + flags + b"".join(sides)
        body = made + body
    elif how == "added":
        content = _exif(rng) if kind == b"EXIF" else rng.randbytes(rng.choice([0, 6, 16, 1000]))
        made = kind + struct.pack("<I", rng.choice([len(content), 2**32 - 1, 0])) + content
        body = body + made if rng.random() < 0.5 else made + body
    else:
        body += body
    return f"{how} {kind!r}", b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def _png(data: bytes, rng: random.Random) -> tuple[str, bytes]:
    try:
        return hostile_png(data, rng)
    except struct.error:  # its chunks do not end where the file does, after a change before
        return changed_bytes(data, rng)


_CHANGES: dict[bytes, Callable[[bytes, random.Random], tuple[str, bytes]]] = {
    b"\x89PNG": _png,
    b"\xff\xd8": _jpeg,
    b"BM": _bmp,
    b"II": _tiff,
    b"MM": _tiff,
    b"RIFF": _webp,
}
