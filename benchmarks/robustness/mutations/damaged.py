"""Damage that the manifest was not told of: what copies, memory cards and people do to files."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable

from benchmarks.robustness.mutations.base import MANIFEST, SPECIALS, Base, Mutation

_FIRST_NUMBER = re.compile(r"(?<=: )\d+")
_NAMES = "bank.npy", "network.onnx", "index.hnsw", MANIFEST


def damaged(base: Base, rng: random.Random) -> Mutation:
    """Some damage to one file or two; every byte that it changes counts."""
    how = rng.choices(
        [_bytes_changed, _special, _exchanged, _manifest_rewritten, _moved], [60, 10, 8, 20, 2]
    )[0]
    return how(base, rng)


def changed_bytes(content: bytes, rng: random.Random) -> tuple[str, bytes]:
    """Damage to bytes, never none: in words, and what is left."""
    if not content:
        return "a byte where there was none", rng.randbytes(1)
    size = len(content)
    at = rng.randrange(min(size, rng.choice([64, 512, size])))
    length = min(rng.choice([1, 1, 4, 16, 512, 4096, size]), size - at)
    how = rng.choice(
        ["flipped", "cut", "removed", "inserted", "appended", "zeroed", "noise", "repeated"]
    )
    found = bytearray(content)
    if how == "flipped":
        for _ in range(rng.choice([1, 1, 1, 2, 20])):
            at = rng.randrange(size)
            found[at] ^= 1 << rng.randrange(8)
    elif how == "cut":
        at = rng.choice([0, 1, at, size - 1, size - 4, size // 2])
        del found[max(at, 0) :]
    elif how == "removed":
        del found[at : at + length]
    elif how == "inserted":
        found[at:at] = rng.randbytes(length)
    elif how == "appended":
        found += rng.choice([b"\0", b"\n", b" ", content[:length], rng.randbytes(length)])
    elif how == "zeroed":
        found[at : at + length] = bytes(length)
    elif how == "noise":
        found[at : at + length] = rng.randbytes(length)
    else:
        found[at + length : at + 2 * length] = found[at : at + length]
    if bytes(found) == content:
        found[at if at < size else 0] ^= 0x80
    return f"{how}, {length} bytes at {at}", bytes(found)


def _bytes_changed(base: Base, rng: random.Random) -> Mutation:
    name = rng.choice([*base.files, *_NAMES])
    how, content = changed_bytes(base.files[name], rng)
    return Mutation(f"{name} {how}", {name: content})


def _special(base: Base, rng: random.Random) -> Mutation:
    name, what = rng.choice([*base.files]), rng.choice(SPECIALS)
    return Mutation(f"{name} is {what}", {name: what})


def _exchanged(base: Base, rng: random.Random) -> Mutation:
    one, other = rng.sample([*base.files], 2)
    changes = {one: base.files[other]}
    if rng.random() < 0.5:
        changes[other] = base.files[one]
    return Mutation(f"{one} is {other}", changes)


def _moved(base: Base, rng: random.Random) -> Mutation:
    """A file system that folds letters, or a tool that renames."""
    name = rng.choice([*base.files])
    to = rng.choice([name.upper(), name + " ", name + "~", "." + name, name.replace(".", "_")])
    return Mutation(f"{name} is called {to!r}", {name: "missing", to: base.files[name]})


def _manifest_rewritten(base: Base, rng: random.Random) -> Mutation:
    """The same manifest, or nearly, in another text."""
    text = base.files[MANIFEST].decode()
    how = rng.choice([*_REWRITTEN])
    return Mutation(f"manifest {how}", {MANIFEST: _REWRITTEN[how](text, rng)})


def _dumped(text: str, **how: object) -> bytes:
    return json.dumps(json.loads(text), **how).encode()  # type: ignore[arg-type]


def _edited(text: str, rng: random.Random) -> bytes:
    """By hand: a digit is another."""
    digits = [i for i, character in enumerate(text) if character.isdigit()]
    at = rng.choice(digits)
    other = rng.choice([d for d in "0123456789" if d != text[at]])
    return (text[:at] + other + text[at + 1 :]).encode()


def _twice(text: str, rng: random.Random) -> bytes:
    """A key occurs twice: parsers differ in which counts."""
    lines = text.split("\n")
    at = rng.choice([i for i, line in enumerate(lines) if line.rstrip().endswith(",")])
    return "\n".join([*lines[: at + 1], *lines[at:]]).encode()


_REWRITTEN: dict[str, Callable[[str, random.Random], bytes]] = {
    "with a byte order mark": lambda text, rng: b"\xef\xbb\xbf" + text.encode(),
    "with other line ends": lambda text, rng: text.replace("\n", "\r\n").encode(),
    "compact": lambda text, rng: _dumped(text),
    "in one more line": lambda text, rng: text.encode() + b"\n",
    "without its last line end": lambda text, rng: text.rstrip("\n").encode(),
    "indented with tabs": lambda text, rng: _dumped(text, indent="\t"),
    "sorted": lambda text, rng: _dumped(text, indent=2, sort_keys=True) + b"\n",
    "in UTF-16": lambda text, rng: text.encode("utf-16"),
    "followed by another": lambda text, rng: (text + text).encode(),
    "in a list": lambda text, rng: b"[" + text.encode() + b"]",
    "nested deeply": lambda text, rng: b"[" * rng.choice([100, 10_000, 1_000_000]),
    "nested in keys": lambda text, rng: b'{"a":' * rng.choice([1000, 100_000]),
    "a number of many digits": lambda text, rng: _FIRST_NUMBER.sub("3" * 5000, text, 1).encode(),
    "not numbers": lambda text, rng: text.replace(
        "1.0", rng.choice(["NaN", "Infinity", "-Infinity", "1e999"])
    ).encode(),
    "zeros": lambda text, rng: bytes(rng.choice([1, 4096, 3_999_999, 4_000_001])),
    "empty": lambda text, rng: b"",
    "text": lambda text, rng: rng.choice([b"{}", b"null", b"3", b'"manifest"', b"[]", b"hello"]),
    "edited": _edited,
    "with a key twice": _twice,
    "with escapes": lambda text, rng: text.replace("schema", "\\u0073chema").encode(),
    "with a comment": lambda text, rng: text.replace("{", "{ // of line 3", 1).encode(),
}
