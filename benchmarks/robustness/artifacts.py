"""Mutated artifacts: each is refused, by load or by ``verify``, or scores as the sound one does.

A sound artifact is copied and changed at random, by seed and number; see `mutations`. A worker
process loads it, scores its two reference images, and where both succeed, replays ``verify``.
"""

from __future__ import annotations

import random
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

from benchmarks.robustness.mutations.arrays import replaced_array, replaced_values
from benchmarks.robustness.mutations.base import Base, Mutate, Mutation, remove, write
from benchmarks.robustness.mutations.beside import PLAN, PLAN_CONTENT, PLAN_FILE, beside
from benchmarks.robustness.mutations.damaged import damaged
from benchmarks.robustness.mutations.graphs import replaced_graph
from benchmarks.robustness.mutations.index import replaced_index
from benchmarks.robustness.mutations.pngs import replaced_png
from benchmarks.robustness.mutations.resealed import resealed
from benchmarks.robustness.trial import EXCEPTION, MEMORY, Outcome, Trial, Worker
from edge_ad_runtime import Detector
from edge_ad_runtime.engines.tensorrt.plans import read_plan
from edge_ad_runtime.errors import EdgeADError
from edge_ad_runtime.images import RGBImage
from edge_ad_runtime.proof.verify import verify

LIMIT_S = 2.0
MOST_BYTES = 600_000_000  # an artifact may ask for images of 8192 x 16384 pixels: 403 MB

REFUSED, REFUSED_BY_VERIFY, SAME = "refused", "refused by verify", "accepted, same scores"
CHANGED, DAMAGE_VERIFIED = "accepted and verified, changed scores", "damaged and verified"
OUTCOMES = (REFUSED, REFUSED_BY_VERIFY, SAME)

# (family, what is changed, how many of a hundred)
FAMILIES: tuple[tuple[str, Mutate, int], ...] = (
    ("damaged", damaged, 35),
    ("resealed", resealed, 20),
    ("replaced", replaced_array, 8),
    ("replaced", replaced_values, 6),
    ("replaced", replaced_index, 10),
    ("replaced", replaced_graph, 10),
    ("replaced", replaced_png, 5),
    ("beside", beside, 6),
)

_SAME_SCORE = 3e-4  # relative; verify's tolerance is 1e-4 on either side


def worker(artifact: Path, seed: int, *, limit_s: float = LIMIT_S) -> Worker:
    """A process that makes trials of `open_trials`."""
    arguments = (str(artifact.resolve()), str(seed))
    return Worker("artifacts", *arguments, limit_s=limit_s, most_bytes=MOST_BYTES)


def open_trials(artifact: str, seed: str) -> Trial:
    """The function from a number to what came of the mutation of that number."""
    base = Base.read(Path(artifact))
    attacked = Attacked(base, Path(tempfile.mkdtemp()) / "a.edgead")

    def trial(number: int) -> Callable[[], Outcome]:
        rng = random.Random(f"{seed}/{number}")
        family, mutate, _ = rng.choices(FAMILIES, [share for *_, share in FAMILIES])[0]
        mutation = mutate(base, rng)

        def attempt() -> Outcome:
            kind, said = attacked.outcome(mutation, family)
            return Outcome(kind=kind, what=family, detail=f"{mutation.how:.300} | {said}")

        return attempt

    return trial


class Attacked:
    """A copy of an artifact that is changed, tried, and put right again."""

    def __init__(self, base: Base, folder: Path) -> None:
        self._base = base
        self._folder = folder
        for name, content in base.files.items():
            write(folder, name, content)
        detector = Detector.load(folder)
        names = [reference.file for reference in detector.manifest.reference]
        self._images = [detector.artifact.image(name) for name in names]
        self._scores = _scores(detector, self._images)
        assert verify(detector).ok, "the artifact is sound before it is attacked"

    def outcome(self, mutation: Mutation, family: str) -> tuple[str, str]:
        """What comes of it, and what was said."""
        try:
            for name, content in mutation.changes.items():
                write(self._folder, name, content)
            kind, said = self._try()
        finally:
            self._restore(mutation)
        if kind == SAME and family == "damaged":
            kind = DAMAGE_VERIFIED
        return kind, said

    def _try(self) -> tuple[str, str]:
        try:
            if (self._folder / "engines").is_dir():
                _read_plan(self._folder)
            detector = Detector.load(self._folder)
            scores = _scores(detector, self._images)
        except EdgeADError as exc:
            return REFUSED, f"{exc}"[:300]
        except MemoryError:
            return MEMORY, traceback.format_exc()[-1500:]
        except Exception:
            return EXCEPTION, traceback.format_exc()[-1500:]
        try:
            report = verify(detector)
        except EdgeADError as exc:
            return REFUSED_BY_VERIFY, f"{exc}"[:300]
        except MemoryError:
            return MEMORY, traceback.format_exc()[-1500:]
        except Exception:
            return EXCEPTION, traceback.format_exc()[-1500:]
        if report.first_failure is not None:
            return REFUSED_BY_VERIFY, f"{report.first_failure}"[:300]
        same = all(
            abs(found - score) <= _SAME_SCORE * score
            for found, score in zip(scores, self._scores, strict=True)
        )
        return (SAME if same else CHANGED), f"scores {scores}"

    def _restore(self, mutation: Mutation) -> None:
        for name in mutation.changes:
            top = name.split("/")[0]
            remove(self._folder / top)
            for sound, content in self._base.files.items():
                if sound.split("/")[0] == top:
                    write(self._folder, sound, content)


def _scores(detector: Detector, images: list[RGBImage]) -> list[float]:
    return [detector.predict(image).score for image in images]


def _read_plan(folder: Path) -> None:
    """What a device with that GPU would read; the file's own content or an error."""
    found = read_plan(folder / "engines", PLAN)
    assert found == PLAN_CONTENT, f"{PLAN_FILE} was accepted with other content"
