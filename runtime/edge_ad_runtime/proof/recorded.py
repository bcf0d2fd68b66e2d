"""Scores that were recorded earlier: the lines of ``edge-ad score --json`` or ``edge-ad watch``."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_ad_runtime.artifact import strict
from edge_ad_runtime.decision.threshold import Verdict, verdict_of
from edge_ad_runtime.errors import ConfigError, EdgeADError
from edge_ad_runtime.regular_file import read_regular

_MOST_BYTES = 1 << 30  # some millions of lines


@dataclass(frozen=True, kw_only=True)
class RecordedScore:
    """One line.

    Attributes:
        line: its number in the file, from 1.
        path: the image, as it was named.
        score: the score, or None if the image could not be judged.
        threshold: the artifact's threshold at that time.
        verdict: the verdict, or None if the image could not be judged.
    """

    line: int
    path: str
    score: float | None
    threshold: float
    verdict: Verdict | None


class RecordedScores:
    """The lines of one file, found by the path or the name of an image.

    An image belongs to the line whose path ends as its own does, for as many parts as possible, the
    file's name at least. So images may have moved to another folder or machine. A line belongs to
    one image: if several may have it, to the one whose path is most like its own.
    """

    def __init__(self, file: Path, lines: Iterable[RecordedScore]) -> None:
        self.file = file
        self.lines = tuple(lines)
        self._by_name: dict[str, list[RecordedScore]] = {}
        for line in self.lines:
            self._by_name.setdefault(Path(line.path).name, []).append(line)

    @classmethod
    def read(cls, file: Path) -> RecordedScores:
        """Read the lines. Empty ones are skipped.

        Raises:
            ConfigError: the file cannot be read, holds no lines, or one of them is no record.
        """
        try:
            texts = read_regular(file, most_bytes=_MOST_BYTES).decode("utf-8").split("\n")
        except OSError as exc:
            raise ConfigError(f"{file}: cannot be read: {exc.strerror}") from exc
        except UnicodeDecodeError as exc:
            raise ConfigError(f"{file}: is not text in UTF-8: {exc}") from exc
        numbered = [(i, text) for i, text in enumerate(texts, start=1) if text.strip()]
        if not numbered:
            raise ConfigError(
                f"{file}: holds no lines; it must be what edge-ad score --json prints"
            )
        return cls(file, [_parse(file, i, text) for i, text in numbered])

    def match(self, images: Iterable[Path]) -> dict[Path, RecordedScore | None]:
        """The line of each image, or None where there is none.

        Raises:
            ConfigError: two lines are of one image, or two images are of one line, as far as their
                paths tell.
        """
        found = {image: self._line_of(image) for image in images}
        claims: dict[int, list[Path]] = {}
        for image, line in found.items():
            if line is not None:
                claims.setdefault(line.line, []).append(image)
        for claimants in claims.values():
            line = found[claimants[0]]
            assert line is not None, "they claim it"
            ranked = sorted(claimants, key=lambda image: -_likeness(image, Path(line.path)))
            likeness = [_likeness(image, Path(line.path)) for image in ranked]
            if len(likeness) > 1 and likeness[0] == likeness[1]:
                raise ConfigError(
                    f"{self.file}: line {line.line} ({line.path}) may be of {ranked[0]} and of "
                    f"{ranked[1]}; give images whose paths end as those of the lines do"
                )
            found.update(dict.fromkeys(ranked[1:]))
        return found

    def _line_of(self, image: Path) -> RecordedScore | None:
        candidates = self._by_name.get(image.name, [])
        if not candidates:
            return None
        likeness = [_likeness(image, Path(line.path)) for line in candidates]
        best = [
            line for line, like in zip(candidates, likeness, strict=True) if like == max(likeness)
        ]
        if len(best) > 1:
            lines = ", ".join(str(line.line) for line in best[:5])
            raise ConfigError(
                f"{self.file}: {image} may be any of lines {lines}, which name {image.name} too; "
                "keep one line of each image, or give images whose paths end as those of the lines"
            )
        return best[0]


def _likeness(one: Path, other: Path) -> float:
    """How many parts two paths share, counted from the end. Of equal paths it is infinite."""
    if one == other:
        return math.inf
    shared = 0
    for a, b in zip(reversed(one.parts), reversed(other.parts), strict=False):
        if a != b:
            break
        shared += 1
    return shared


def _parse(file: Path, number: int, text: str) -> RecordedScore:
    try:
        raw = strict.loads(text)
        if not isinstance(raw, dict):
            raise ValueError("is no JSON object")
        return _record(number, raw)
    except (ValueError, EdgeADError) as exc:
        raise ConfigError(
            f"{file}: line {number} is no record of edge-ad score --json: {exc}; delete the line "
            "if it was cut off"
        ) from exc


def _record(number: int, raw: dict[str, Any]) -> RecordedScore:
    for key in ("path", "score", "threshold", "verdict"):
        if key not in raw:
            raise ValueError(f"it has no {key!r}")
    path, verdict = raw["path"], raw["verdict"]
    if not isinstance(path, str) or not Path(path).name:
        raise ValueError(f"path is {path!r}, expected the path of an image")
    threshold = _finite("threshold", raw["threshold"])
    if verdict == "error":
        return RecordedScore(line=number, path=path, score=None, threshold=threshold, verdict=None)
    score = _finite("score", raw["score"])
    expected = verdict_of(score, threshold)
    if verdict != expected:
        raise ValueError(
            f"verdict is {verdict!r}, and a score of {score:g} beside a threshold of "
            f"{threshold:g} is {expected!r}"
        )
    return RecordedScore(line=number, path=path, score=score, threshold=threshold, verdict=expected)


def _finite(key: str, value: object) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value):  # type: ignore[arg-type]
        raise ValueError(f"{key} is {value!r}, expected a finite number")
    return float(value)  # type: ignore[arg-type]
