"""Score a labelled folder with an artifact, as a device would, and measure how well it did."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edge_ad.evaluation import metrics
from edge_ad.evaluation.judging import Judged, remarks
from edge_ad.images.labelled import TestImage, read_mask
from edge_ad_runtime.decision.threshold import Verdict
from edge_ad_runtime.detector import Detector
from edge_ad_runtime.errors import ConfigError, EdgeADError
from edge_ad_runtime.escaping import json_text
from edge_ad_runtime.images import RGBImage, read_image
from edge_ad_runtime.prediction import Prediction
from edge_ad_runtime.progress import ProgressBar


@dataclass(frozen=True, kw_only=True)
class ScoredImage:
    """One test image's label and score.

    Attributes:
        path: the image.
        kind: ``good``, or a kind of defect.
        is_defective: whether the label says defective.
        score: the image's score.
        verdict: what the artifact says of it.
        why: what the picture alone would not tell of the verdict, in words. It may be empty.
    """

    path: str
    kind: str
    is_defective: bool
    score: float
    verdict: Verdict
    why: str = ""


Seen = Callable[[TestImage, RGBImage, Prediction], None]
"""What is called with each image that was scored: its label, its pixels, and the prediction."""


@dataclass(frozen=True, kw_only=True)
class KindResult:
    """How well one kind of defect is told from the good images, and found at the threshold."""

    kind: str
    images: int
    auroc: float
    detected: int


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What ``edge-ad evaluate`` measured.

    Attributes:
        image_auroc: the area under the ROC curve of image scores.
        pixel_auroc: the area under the ROC curve of pixels. It is None without masks, and with an
            artifact that maps anomalous images alone: pixels of images without a map have no score.
        pro: the per-region overlap up to 30% false positives. It is None where that is.
        iou: the mean over the defective images that have a mask of the intersection over union of
            that mask and of where the artifact is above its own threshold (`Prediction.mask`), both
            at the network's size. It is None without masks, and if that is not known of one image.
        f1_best: the largest F1 over all thresholds. Finding it needs labels, which a line lacks.
        f1_best_threshold: the threshold that gives the largest F1.
        threshold: the artifact's own threshold, at which the four counts are taken.
        false_rejects: how many good images are called anomalous.
        missed: how many defective images are called good.
        images: how many images were scored.
        masks: how many defective images have a mask, and so count for the pixel figures.
        promised_rate: the share of good images that the threshold promises to reject at most, on
            average. It is None if no good image was left out of the fit.
        promised_interval: the 90% interval of that share.
        labels: what was taken for a label, in words.
        remarks: what the figures mean, in words, with the commands that mend it.
        errors: the images or masks that could not be read, one line each. They are in no figure.
    """

    artifact: str
    artifact_sha256: str
    image_auroc: float
    pixel_auroc: float | None
    pro: float | None
    f1_best: float
    f1_best_threshold: float
    threshold: float
    true_goods: int
    false_rejects: int
    detected: int
    missed: int
    images: int
    masks: int
    by_kind: tuple[KindResult, ...]
    errors: tuple[str, ...]
    scores: tuple[ScoredImage, ...]
    iou: float | None = None
    promised_rate: float | None = None
    promised_interval: tuple[float, float] | None = None
    labels: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def why_no_pixels(self) -> str:
        """Why there are no pixel figures, where there are none."""
        return "no maps of good images" if self.masks else "no masks"

    @property
    def why_no_iou(self) -> str:
        """Why there is no IoU, where there is none."""
        return "not all have a map in the unit of the score" if self.masks else "no masks"

    def to_json(self) -> str:
        """One JSON object. Later versions only ever add fields."""
        return json_text(asdict(self), indent=2)


def evaluate(
    detector: Detector,
    images: Sequence[TestImage],
    *,
    called: str | None = None,
    seen: Seen | None = None,
    progress: bool = False,
) -> Evaluation:
    """Score ``images`` and compute every figure.

    An image that cannot be read is reported in ``errors`` and left out. It never counts as good.

    Args:
        detector: the loaded artifact.
        images: some good, some defective.
        called: how the user names the artifact. None takes the name of its folder.
        seen: what to call with each image that was scored, such as `Pictures.add`.
        progress: show a bar on stderr.

    Raises:
        ConfigError: no good or no defective image could be scored.
    """
    scored: list[ScoredImage] = []
    maps: list[NDArray[np.float32] | None] = []
    masks: list[NDArray[np.bool_]] = []
    errors: list[str] = []
    ious: list[float | None] = []
    for image in ProgressBar(images, desc="evaluate", unit="image", disable=not progress):
        try:
            pixels = read_image(image.path)
            prediction = detector.predict(pixels)
            mask = _mask(image, pixels.shape, detector)
        except EdgeADError as exc:
            errors.append(f"{image.path}: {exc}" if str(image.path) not in str(exc) else str(exc))
            continue
        scored.append(
            ScoredImage(
                path=str(image.path),
                kind=image.kind,
                is_defective=image.is_defective,
                score=prediction.score,
                verdict=prediction.verdict,
                why=_why(prediction),
            )
        )
        if seen is not None:
            seen(image, pixels, prediction)
        if mask is not None:
            maps.append(prediction.map)
            masks.append(mask)
            if mask.any():
                found = prediction.mask
                ious.append(None if found is None else metrics.iou(found, mask))
    evaluation = _evaluation(detector, scored, maps, masks, ious, errors)
    calibration = detector.manifest.calibration
    judged = Judged(
        artifact=called or evaluation.artifact,
        good=np.array([image.score for image in scored if not image.is_defective]),
        defective=np.array([image.score for image in scored if image.is_defective]),
        calibration=calibration,
        image_auroc=evaluation.image_auroc,
    )
    return replace(
        evaluation,
        promised_rate=calibration.false_reject_rate if calibration.images else None,
        promised_interval=calibration.interval if calibration.images else None,
        remarks=remarks(judged),
    )


def _why(prediction: Prediction) -> str:
    """Why an image is anomalous whose map is nowhere above the threshold."""
    if prediction.verdict == "good" or prediction.deciding is None or prediction.regions != ():
        return ""
    top, left, height, width = prediction.deciding
    return (
        f" (one patch decided, at row {top + height // 2}, column {left + width // 2}; the "
        "smoothed map is nowhere above the threshold)"
    )


def _mean(values: list[float | None]) -> float | None:
    """The mean, which is not known if one of the values is not, or there is none."""
    known = [value for value in values if value is not None]
    return np.mean(known).item() if known and len(known) == len(values) else None


def _mask(image: TestImage, shape: tuple[int, ...], detector: Detector) -> NDArray[np.bool_] | None:
    """The mask at the map's size, or None for a defective image without one."""
    preprocessing = detector.manifest.preprocessing
    if not image.is_defective:
        return np.zeros(preprocessing.size, bool)
    return preprocessing.apply_to_mask(read_mask(image, shape)) if image.is_marked else None


def _evaluation(
    detector: Detector,
    scored: list[ScoredImage],
    maps: list[NDArray[np.float32] | None],
    masks: list[NDArray[np.bool_]],
    ious: list[float | None],
    errors: list[str],
) -> Evaluation:
    scores = np.array([image.score for image in scored])
    is_defective = np.array([image.is_defective for image in scored], bool)
    if is_defective.all() or not is_defective.any():
        first = f"; first error: {errors[0]}" if errors else ""
        raise ConfigError(
            f"{(~is_defective).sum()} good and {is_defective.sum()} defective images could be "
            f"scored; at least one of each is needed{first}"
        )
    rejected = np.array([image.verdict == "anomalous" for image in scored])
    best = metrics.best_f1(scores, is_defective)
    found = [heat for heat in maps if heat is not None]
    has_all = len(found) == len(maps) and any(mask.any() for mask in masks)
    pixels = metrics.pixel_metrics(found, masks) if has_all else None
    return Evaluation(
        artifact=detector.artifact.folder.name,
        artifact_sha256=detector.manifest.sha256,
        image_auroc=metrics.auroc(scores, is_defective),
        pixel_auroc=pixels and pixels.auroc,
        pro=pixels and pixels.pro,
        f1_best=best.f1,
        f1_best_threshold=best.threshold,
        threshold=detector.manifest.calibration.threshold,
        true_goods=int((~rejected & ~is_defective).sum()),
        false_rejects=int((rejected & ~is_defective).sum()),
        detected=int((rejected & is_defective).sum()),
        missed=int((~rejected & is_defective).sum()),
        images=len(scored),
        masks=len(masks) - int((~is_defective).sum()),
        by_kind=_by_kind(scored, scores, is_defective),
        errors=tuple(errors),
        scores=tuple(scored),
        iou=_mean(ious),
    )


def _by_kind(
    scored: list[ScoredImage], scores: NDArray[np.float64], is_defective: NDArray[np.bool_]
) -> tuple[KindResult, ...]:
    results = []
    for kind in sorted({image.kind for image in scored if image.is_defective}):
        of_kind = np.array([image.kind == kind for image in scored])
        results.append(
            KindResult(
                kind=kind,
                images=int(of_kind.sum()),
                auroc=metrics.auroc(
                    scores[~is_defective | of_kind], of_kind[~is_defective | of_kind]
                ),
                detected=sum(s.verdict == "anomalous" for s in scored if s.kind == kind),
            )
        )
    return tuple(results)
