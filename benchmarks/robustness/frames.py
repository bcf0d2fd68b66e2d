"""What a camera, a network share and people put into a watched folder, and the lines to expect."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from edge_ad_runtime import Detector
from edge_ad_runtime.errors import EdgeADError
from edge_ad_runtime.images import decode_image

ERROR = "error"


@dataclass(frozen=True)
class Picture:
    """The bytes of a file, and the verdict on it."""

    suffix: str
    content: bytes
    verdict: str


@dataclass(frozen=True)
class Frame:
    """What was put under one name.

    Attributes:
        name: of the file.
        how: key of `DELIVERIES`.
        verdicts: that its lines must have, in their order.
        may_have_more: earlier lines: half of it was there at two looks, and perhaps more of it
            when it was read.
        may_have_none: it was gone before it could be read; then its line may be an error too.
    """

    name: str
    how: str
    verdicts: tuple[str, ...]
    may_have_more: bool = False
    may_have_none: bool = False

    def fits(self, found: list[str]) -> bool:
        """Whether these are its lines' verdicts."""
        if self.may_have_none:
            return len(found) <= 1
        if self.may_have_more:
            return found[-1:] == list(self.verdicts) and set(found) <= {ERROR, *self.verdicts}
        return found == list(self.verdicts)


@dataclass
class Camera:
    """Puts frames into a folder; ``line_of`` waits until a file has so many lines."""

    folder: Path
    pictures: Mapping[str, Picture]
    wait_for_lines: Callable[[str, int], object]
    frames: list[Frame] = field(default_factory=list)

    def deliver(self, number: int, rng: random.Random) -> Frame:
        """One frame, in one of the ways."""
        how = rng.choices([*DELIVERIES], [weight for _, weight in DELIVERIES.values()])[0]
        frame = DELIVERIES[how][0](self, number, rng)
        self.frames.append(frame)
        return frame

    def put(self, name: str, content: bytes) -> Path:
        """As a camera should: under another name until it is whole."""
        partial = self.folder / f"{len(self.frames)}.partial"
        partial.write_bytes(content)
        return partial.replace(self.folder / name)


def pictures(detector: Detector) -> dict[str, Picture]:
    """Sound, damaged and odd images, with the verdicts that the detector gives here and now."""
    good, bad = (detector.artifact.image(r.file) for r in detector.manifest.reference[:2])

    def encoded(image: np.ndarray, suffix: str) -> bytes:
        return cv2.imencode(suffix, image[..., ::-1])[1].tobytes()

    def judged(suffix: str, content: bytes) -> Picture:
        try:
            verdict: str = detector.predict(decode_image(content)).verdict
        except EdgeADError:
            verdict = ERROR
        return Picture(suffix, content, verdict)

    grey = np.full((256, 320, 3), 128, np.uint8)
    found = {
        f"{name}{suffix}": judged(suffix, encoded(image, suffix))
        for name, image in {"good": good, "bad": bad}.items()
        for suffix in (".png", ".bmp", ".jpg", ".tiff", ".webp")
    }
    sides = {"dot": (1, 1), "line": (1, 3000), "column": (3000, 1), "two": (2, 2)}
    for name, (height, width) in sides.items():
        image = np.resize(grey, (height, width, 3))
        found[name] = judged(".png", encoded(image, ".png"))
    png = found["good.png"].content
    found["cut"] = judged(".png", png[: len(png) // 2])
    found["no image"] = judged(".png", b"GIF89a")
    found["nothing"] = judged(".png", b"")
    found["under another name"] = judged(".PNG", found["bad.jpg"].content)
    return found


def _sound(camera: Camera, number: int, rng: random.Random) -> Frame:
    picture = camera.pictures[rng.choice(["good", "bad"]) + rng.choice([".png", ".jpg", ".bmp"])]
    name = f"{number:06}{picture.suffix}"
    camera.put(name, picture.content)
    return Frame(name, "sound", (picture.verdict,))


def _odd(camera: Camera, number: int, rng: random.Random) -> Frame:
    picture = camera.pictures[rng.choice([*camera.pictures])]
    name = f"{number:06}{picture.suffix}"
    camera.put(name, picture.content)
    return Frame(name, "odd", (picture.verdict,))


def _in_halves(camera: Camera, number: int, rng: random.Random) -> Frame:
    picture = camera.pictures["good.png"]
    path = camera.folder / f"{number:06}.png"
    half = rng.randrange(len(picture.content))
    with path.open("wb", buffering=0) as file:
        file.write(picture.content[:half])
        time.sleep(rng.choice([0, 0.01, 0.1]))
        file.write(picture.content[half:])
    return Frame(path.name, "in halves", (picture.verdict,), may_have_more=True)


def _vanishing(camera: Camera, number: int, rng: random.Random) -> Frame:
    path = camera.put(f"{number:06}.png", camera.pictures["good.png"].content)
    time.sleep(rng.choice([0, 0.01, 0.03, 0.06]))
    path.unlink()
    return Frame(path.name, "vanishing", (), may_have_none=True)


def _replaced(camera: Camera, number: int, rng: random.Random) -> Frame:
    """By another image of the same size and time: bitmaps are all of one size."""
    first, second = camera.pictures["good.bmp"], camera.pictures["bad.bmp"]
    name = f"{number:06}.bmp"
    path = camera.put(name, first.content)
    status = path.stat()
    camera.wait_for_lines(name, 1)
    partial = camera.folder / "other.partial"
    partial.write_bytes(second.content)
    os.utime(partial, ns=(status.st_atime_ns, status.st_mtime_ns))
    partial.replace(path)
    camera.wait_for_lines(name, 2)
    return Frame(name, "replaced", (first.verdict, second.verdict))


_NAMES = (
    b"b\xff\xfe%06d.png", b"esc\x1b]0;x\x07%06d.png", b"new\nline%06d.png", b"-rf %06d.png",
    b"'\"\\ $(id)`%06d.png", "\u202egnp\u2066%06d.png".encode(), "é\u0301😀%06d.png".encode(),
    b"%06d" + b"x" * 245 + b".png", b".hidden%06d.png", b"{%06d}%%s%%n.png", b"nul\\0%06d.png",
    "\x9b31m%06d.png".encode(), b"%06d.png.PNG", b"tab\tbell\x07%06d.png", b" %06d.png",
)  # fmt: skip


def _hostile_name(camera: Camera, number: int, rng: random.Random) -> Frame:
    picture = camera.pictures["good.png"]
    name = os.fsdecode(rng.choice(_NAMES) % number)
    camera.put(name, picture.content)
    return Frame(name, "hostile name", (picture.verdict,))


def _no_image(camera: Camera, number: int, rng: random.Random) -> Frame:
    """A loop, a dangling link, a FIFO, a sparse file of a terabyte: an error each."""
    path = camera.folder / f"{number:06}.png"
    how = rng.choice(["loop", "dangling", "fifo", "huge", "device"])
    if how == "fifo":
        os.mkfifo(path)
    elif how == "huge":
        partial = path.with_suffix(".partial")
        partial.touch()
        os.truncate(partial, 1 << 40)
        partial.replace(path)
    else:
        to = {"loop": path.name, "dangling": "/no/such/file", "device": "/dev/zero"}[how]
        path.symlink_to(to)
    return Frame(path.name, how, (ERROR,))


def _ignored(camera: Camera, number: int, rng: random.Random) -> Frame:
    """A text, a folder with an image's name."""
    if rng.random() < 0.5:
        name = f"{number:06}.txt"
        camera.put(name, b"not an image")
    else:
        name = f"{number:06}.png"
        (camera.folder / name).mkdir()
    return Frame(name, "ignored", ())


DELIVERIES: dict[str, tuple[Callable[[Camera, int, random.Random], Frame], int]] = {
    "sound": (_sound, 80),
    "odd": (_odd, 5),
    "in halves": (_in_halves, 3),
    "vanishing": (_vanishing, 3),
    "replaced": (_replaced, 2),
    "hostile name": (_hostile_name, 4),
    "no image": (_no_image, 2),
    "ignored": (_ignored, 1),
}
