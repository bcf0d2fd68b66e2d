"""The record of a comparison of two artifacts, image by image."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal
from xml.etree import ElementTree

from edge_ad_runtime.decision.threshold import Verdict
from edge_ad_runtime.escaping import json_text, shown

Unit = Literal["thresholds", "decades"]


@dataclass(frozen=True, kw_only=True)
class Side:
    """What one of the two says of an image.

    Attributes:
        score: the raw score.
        threshold: the threshold that it is held against, in the same unit.
        verdict: ``anomalous`` if the score is above the threshold, else ``good``.
        relative: the score divided by the threshold, so that 1 is at the threshold. Of scores that
            are decades it is the score less the threshold, so that 0 is.
    """

    score: float
    threshold: float
    verdict: Verdict
    relative: float


@dataclass(frozen=True, kw_only=True)
class ComparedImage:
    """One image.

    Attributes:
        path: the image.
        label: ``good`` or the kind of defect, or None if it has no label.
        old: what the old one says. It is None if there is an error.
        new: what the new one says. It is None if there is an error.
        flipped: whether the verdicts differ.
        difference: the new relative score less the old one. It is None if there is an error, or if
            only one of the two has scores that are decades.
        error: why the image could not be compared, or None.
        picture_error: why a picture of the flip could not be written, or None.
    """

    path: str
    label: str | None
    old: Side | None = None
    new: Side | None = None
    flipped: bool = False
    difference: float | None = None
    error: str | None = None
    picture_error: str | None = None

    @property
    def size(self) -> float:
        """The difference without its sign. It is 0 where there is none."""
        return abs(self.difference or 0.0)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What is allowed.

    Attributes:
        max_flips: how many verdicts may differ.
        max_difference: the largest difference of a relative score, or None for any.
    """

    max_flips: int = 0
    max_difference: float | None = None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What ``edge-ad compare`` found.

    Attributes:
        ok: whether no more differs than is allowed, and every image could be compared.
        unit: what relative scores and differences are in, or None if the two have no common unit.
        images: the number of images.
        errors: how many of them could not be compared.
        flips: how many verdicts differ.
        worst_difference: the largest difference without its sign, or None if there is none.
        max_flips: how many flips are allowed.
        max_difference: the largest difference that is allowed, or None for any.
        auroc_old: the image AUROC of the old one, or None if the images have not both labels.
        auroc_new: the image AUROC of the new one on the same images.
        not_given: the number of recorded images that were not among those compared.
        old: the provenance of the old one, or the file of recorded scores and its lines.
        new: the provenance of the new one.
        compared: the images. Flips come first, then errors, then the rest, and of each those with
            the largest difference.
    """

    ok: bool
    unit: Unit | None
    images: int
    errors: int
    flips: int
    worst_difference: float | None
    max_flips: int
    max_difference: float | None
    auroc_old: float | None
    auroc_new: float | None
    not_given: int
    old: dict[str, Any]
    new: dict[str, Any]
    compared: tuple[ComparedImage, ...]

    def to_json(self) -> str:
        """One JSON object. Fields are only ever added."""
        return json_text(asdict(self), indent=2)

    def to_junit(self) -> str:
        """JUnit XML, one test case per image. What is allowed is no failure."""
        failures = {i: text for i, image in enumerate(self.compared) if (text := self.fails(image))}
        suite = ElementTree.Element(
            "testsuite",
            name="edge-ad compare",
            tests=str(self.images),
            failures=str(len(failures)),
            errors=str(self.errors),
        )
        for i, image in enumerate(self.compared):
            case = ElementTree.SubElement(
                suite, "testcase", classname=shown(self.new["artifact"]), name=shown(image.path)
            )
            if image.error is not None:
                ElementTree.SubElement(case, "error", message=shown(image.error))
            elif i in failures:
                ElementTree.SubElement(case, "failure", message=failures[i])
        return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True)

    def fails(self, image: ComparedImage) -> str:
        """How an image is past what is allowed. Empty if it is not, or could not be compared."""
        if image.old is None or image.new is None:
            return ""
        if image.flipped and self.flips > self.max_flips:
            return f"{image.old.verdict} became {image.new.verdict}"
        if self.is_too_far(image):
            return f"the difference is {image.size:.3g}, {self.max_difference:g} is allowed"
        return ""

    def is_too_far(self, image: ComparedImage) -> bool:
        """Whether the score has moved by more than is allowed."""
        return self.max_difference is not None and image.size > self.max_difference
