"""Damaged and hostile images: an error or the same pixels, and without checksums: how often not.

Three kinds of trials, by number: sound files of good parts, *damaged*, in every format by every
damage in turn; files whose *structure* is hostile, for which anything but an ImageError or a steady
image is a fault; and names that stand for *no plain file*.
"""

from __future__ import annotations

import random
import tempfile
import traceback
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.robustness.image_damage import DAMAGES, damaged
from benchmarks.robustness.image_formats import CHECKED, FORMATS, encoded
from benchmarks.robustness.image_headers import hostile
from benchmarks.robustness.mutations.base import SPECIALS, write
from benchmarks.robustness.trial import EXCEPTION, MEMORY, Outcome, Trial, Worker
from edge_ad.synthetic.parts import draw_part
from edge_ad_runtime import Detector
from edge_ad_runtime.errors import EdgeADError, ImageError
from edge_ad_runtime.images import MAX_PIXELS, RGBImage, decode_image, read_image
from edge_ad_runtime.images.header import image_size

LIMIT_S = 2.0
PARTS = 8
KINDS = ("damaged", "structure", "no plain file")

ERROR, SAME, GOOD, ANOMALOUS = (
    "error",
    "same pixels",
    "other pixels, good",
    "other pixels, anomalous",
)
STEADY = "decoded"
UNSTEADY, UNSEEN = "pixels differ from one decoding to the next", "damage passed the checksums"
OUTCOMES = (ERROR, SAME, GOOD, ANOMALOUS, STEADY)

_BYTES_PER_PIXEL = 16  # as edge_ad_runtime.images states
_OTHER_BYTES = 100_000_000  # the file itself, twice, and what the allocator keeps


def worker(artifact: Path, seed: int, kind: str, *, limit_s: float = LIMIT_S) -> Worker:
    """A process that makes trials of `open_trials`."""
    most_bytes = _BYTES_PER_PIXEL * MAX_PIXELS + _OTHER_BYTES
    arguments = (str(artifact.resolve()), str(seed), kind)
    return Worker("images", *arguments, limit_s=limit_s, most_bytes=most_bytes)


def combination(number: int) -> tuple[str, str]:
    """The format and the damage of a trial: all of them in turn."""
    pairs = [(name, how) for name in FORMATS for how in DAMAGES]
    return pairs[number % len(pairs)]


def open_trials(artifact: str, seed: str, kind: str) -> Trial:
    """The function from a number to what came of the image of that number."""
    # It is long as its three attacks share what is made once here, and each is short.
    detector = Detector.load(artifact)
    parts = _good_parts(detector, PARTS)
    folder = Path(tempfile.mkdtemp())

    @cache
    def sound(part: int, name: str) -> tuple[bytes, RGBImage]:
        data = encoded(parts[part], name)
        pixels = decode_image(data)
        assert pixels.shape == parts[part].shape, name
        return data, pixels

    def damaged_one(number: int) -> Callable[[], Outcome]:
        name, how = combination(number)
        rng = random.Random(f"{seed}/{number}")
        part = rng.randrange(PARTS)
        data, pixels = sound(part, name)
        content = damaged(data, how, rng)

        def attempt() -> Outcome:
            found, said = _verdict(detector, content, pixels)
            if name in CHECKED and found in (GOOD, ANOMALOUS):
                found = UNSEEN
            return Outcome(kind=found, what=f"{name} | {how}", detail=f"part {part}: {said}")

        return attempt

    def hostile_one(number: int) -> Callable[[], Outcome]:
        rng = random.Random(f"structure {seed}/{number}")
        name = rng.choice([*FORMATS])
        data, _ = sound(rng.randrange(PARTS), name)
        how, content = hostile(data, rng)

        def attempt() -> Outcome:
            found, said, pixels = _steadiness(content, rng)
            return Outcome(
                kind=found,
                what=name,
                detail=f"{how:.300} | {said}",
                allowed_bytes=_BYTES_PER_PIXEL * pixels + _OTHER_BYTES,
            )

        return attempt

    def special_one(number: int) -> Callable[[], Outcome]:
        what = SPECIALS[number % len(SPECIALS)]
        write(folder, "part.png", what)

        def attempt() -> Outcome:
            found, said = _read(folder / "part.png")
            return Outcome(kind=found, what=what, detail=said, allowed_bytes=_OTHER_BYTES)

        return attempt

    return {KINDS[0]: damaged_one, KINDS[1]: hostile_one, KINDS[2]: special_one}[kind]


def _good_parts(detector: Detector, count: int) -> list[RGBImage]:
    """Drawn parts that the detector calls good, from a seed of their own."""
    found: list[RGBImage] = []
    rng = np.random.default_rng(2024)
    for _ in range(20 * count):
        image = draw_part(rng).image
        if detector.predict(image, with_map=False).verdict == "good":
            found.append(image)
        if len(found) == count:
            return found
    raise SystemExit(f"{detector.artifact.folder} calls hardly any good part good")


def _verdict(detector: Detector, data: bytes, sound: RGBImage) -> tuple[str, str]:
    try:
        image = decode_image(data)
        if np.array_equal(image, sound):
            return SAME, ""
        verdict = detector.predict(image, with_map=False).verdict
    except EdgeADError as exc:
        return ERROR, f"{exc}"[:200]
    except MemoryError:
        return MEMORY, traceback.format_exc()[-1500:]
    except Exception:
        return EXCEPTION, traceback.format_exc()[-1500:]
    return (GOOD if verdict == "good" else ANOMALOUS), f"{image.shape}"


def _steadiness(data: bytes, rng: random.Random) -> tuple[str, str, int]:
    """Decode twice, other things in memory in between; and how many pixels there should be."""
    try:
        height, width = image_size(data)
        pixels = min(height * width, MAX_PIXELS)
    except Exception:  # decode_image is to make an ImageError of whatever it is
        pixels = 0
    try:
        first = decode_image(data)
        stale = np.full(max(first.nbytes, 1), rng.randrange(256), np.uint8)
        del stale
        second = decode_image(data)
    except ImageError as exc:
        return ERROR, f"{exc}"[:200], pixels
    except MemoryError:
        return MEMORY, traceback.format_exc()[-1500:], pixels
    except Exception:
        return EXCEPTION, traceback.format_exc()[-1500:], pixels
    return (STEADY if np.array_equal(first, second) else UNSTEADY), f"{first.shape}", pixels


def _read(path: Path) -> tuple[str, str]:
    try:
        image = read_image(path)
    except ImageError as exc:
        return ERROR, f"{exc}"[:200]
    except Exception:
        return EXCEPTION, traceback.format_exc()[-1500:]
    return UNSEEN, f"read as {image.shape}"
