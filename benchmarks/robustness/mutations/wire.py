"""What protobuf allows in a serialised graph and no library writes."""

from __future__ import annotations

from collections.abc import Callable


def _varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _nested(content: bytes) -> bytes:
    inner = b""
    for _ in range(5000):
        inner = _field(7, _field(1, _field(5, _field(6, inner))))[:1_000_000]
    return content + inner


WIRE: dict[str, Callable[[bytes], bytes]] = {
    "twice": lambda content: content + content,
    "a second, empty graph": lambda content: content + _field(7, b""),
    "a hidden loop in a second graph": lambda content: (
        content + _field(7, _field(1, _field(4, b"Loop") + _field(5, _field(6, b""))))
    ),
    "nested": _nested,
    "unknown fields": lambda content: content + _field(1000, bytes(100_000)) * 3,
    "a group": lambda content: content + b"\xfb\x3e\xfc\x3e",
    "an end without a group": lambda content: content + b"\xfc\x3e",
    "a long varint": lambda content: b"\x08" + b"\x8a" + b"\x80" * 7 + b"\x00" + content,
    "field number 0": lambda content: content + b"\x02\x00",
    "a key of ten bytes": lambda content: content + b"\xba\x80\x80\x80\x80\x80\x80\x80\x80\x01\x00",
    "a length of 2^64 - 1": lambda content: content + b"\x3a" + b"\xff" * 9 + b"\x01",
    "the graph as a number": lambda content: content + b"\x38\x07",
}
