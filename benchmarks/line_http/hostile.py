"""Bodies that no camera sends: a path, headers and a body each.

The tests send some of each kind, and `benchmarks.line_http.measure` a thousand.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator

import numpy as np

SCORE, INFER = "/v1/parts/plate/score", "/v2/models/plate/infer"
LENGTH = "Inference-Header-Content-Length"
Request = tuple[str, dict[str, str], bytes]


def bodies(good: bytes, *, count: int, seed: int = 0) -> Iterator[tuple[str, Request]]:
    """So many of all kinds in turn, each with the name of its kind.

    Args:
        good: a PNG that would be scored.
        count: how many.
        seed: of what is drawn.
    """
    rng = np.random.default_rng(seed)
    kinds = [truncated, flipped, random_bytes, bomb, wrong_type, half_json, tensor, deep, too_long]
    for i in range(count):
        kind = kinds[i % len(kinds)]
        yield kind.__name__, kind(rng, good)


def truncated(rng: np.random.Generator, good: bytes) -> Request:
    return SCORE, {}, good[: int(rng.integers(0, len(good) - 1))]


def flipped(rng: np.random.Generator, good: bytes) -> Request:
    """One byte of the compressed pixels is another one, so that the checksum does not fit."""
    data = bytearray(good)
    begin = good.index(b"IDAT") + 4
    (size,) = struct.unpack(">I", good[begin - 8 : begin - 4])
    data[begin + int(rng.integers(size))] ^= int(rng.integers(1, 256))
    return SCORE, {}, bytes(data)


def random_bytes(rng: np.random.Generator, good: bytes) -> Request:
    magic = [b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM", b"II*\0", b"RIFF\0\0\0\0WEBP"]
    return SCORE, {}, magic[int(rng.integers(len(magic)))] + rng.bytes(int(rng.integers(1, 5000)))


def bomb(rng: np.random.Generator, good: bytes) -> Request:
    """A PNG of some kilobytes that would be gigabytes of pixels."""
    side = int(rng.integers(20_000, 60_000))
    rows = zlib.compress(bytes(1_000_000), 9)
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    parts = [_chunk(b"IHDR", header), _chunk(b"IDAT", rows), _chunk(b"IEND", b"")]
    return SCORE, {}, b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def wrong_type(rng: np.random.Generator, good: bytes) -> Request:
    texts = [b"<html></html>", b"GIF89a" + rng.bytes(30), b"%PDF-1.7", b"{}", b"\0" * 1000]
    types = ["image/png", "text/html", "multipart/form-data; boundary=x", "application/json", ""]
    headers = {"Content-Type": types[int(rng.integers(len(types)))]}
    if rng.random() < 0.3:
        headers["Content-Encoding"] = str(rng.choice(["gzip", "br", "deflate"]))
    return SCORE, headers, texts[int(rng.integers(len(texts)))]


def half_json(rng: np.random.Generator, good: bytes) -> Request:
    text = json.dumps({"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES"}]}).encode()
    return INFER, {}, text[: int(rng.integers(0, len(text)))]


def tensor(rng: np.random.Generator, good: bytes) -> Request:
    """Sizes and shapes that do not fit to the bytes."""
    shape = [int(rng.integers(-2, 3)) for _ in range(int(rng.integers(0, 6)))]
    image = {
        "name": "image",
        "shape": shape,
        "datatype": str(rng.choice(["BYTES", "UINT8", "FP32", ""])),
        "parameters": {"binary_data_size": int(rng.integers(-5, 5000))},
    }
    text = json.dumps({"inputs": [image]}).encode()
    length = str(int(rng.choice([len(text), len(text) + 7, 0, 10**9])))
    return INFER, {LENGTH: length}, text + rng.bytes(int(rng.integers(0, 3000)))


def deep(rng: np.random.Generator, good: bytes) -> Request:
    depth = int(rng.integers(1000, 200_000))
    return INFER, {}, b'{"inputs":' + b"[" * depth


def too_long(rng: np.random.Generator, good: bytes) -> Request:
    """More than a limit of 1.5 MB."""
    return SCORE, {}, good + bytes(2_000_000)


def _chunk(name: bytes, content: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(name + content))
    return struct.pack(">I", len(content)) + name + content + check
