"""A folder that shows an evaluation: ``index.html``, curves, and a picture of every image."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_ad.evaluation import metrics
from edge_ad.evaluation.evaluate import Evaluation, ScoredImage
from edge_ad.evaluation.report_page import page
from edge_ad.images.labelled import TestImage, read_mask
from edge_ad_runtime import __version__
from edge_ad_runtime.artifact.atomic import FolderKind, atomic_folder
from edge_ad_runtime.commands.info import describe_threshold
from edge_ad_runtime.detector import Detector
from edge_ad_runtime.images import RGBImage, read_image
from edge_ad_runtime.pictures.overlay import draw_overlay, draw_verdict
from edge_ad_runtime.prediction import Prediction

REPORT = FolderKind(
    name="a report", marker="report.json", keys=frozenset({"artifact_sha256", "image_auroc"})
)

_QUALITY = 88  # of JPEG: a few hundred pictures of 100 kB are a folder that can be sent


class Pictures:
    """The pictures of a report, drawn while images are scored, so that none is scored twice.

    Args:
        detector: the loaded artifact.
    """

    def __init__(self, detector: Detector) -> None:
        self._preprocessing = detector.manifest.preprocessing
        self._drawn: dict[str, bytes] = {}

    def add(self, image: TestImage, pixels: RGBImage, prediction: Prediction) -> None:
        """Draw one image. See `edge_ad.evaluation.evaluate.Seen`."""
        if prediction.map is None:
            picture = draw_verdict(pixels, prediction)
        else:
            truth = read_mask(image, pixels.shape) if image.is_marked else None
            picture = draw_overlay(pixels, prediction, self._preprocessing, truth=truth)
        self._drawn[str(image.path)] = _jpeg(picture)

    def of(self, path: str) -> bytes | None:
        """The picture of the image at ``path``, or None if it was not drawn."""
        return self._drawn.get(path)


def write_report(
    evaluation: Evaluation,
    detector: Detector,
    folder: Path,
    *,
    pictures: Pictures | None = None,
    overwrite: bool = False,
) -> None:
    """Write ``index.html``, ``report.json``, ``curves.png`` and ``images/`` atomically.

    Args:
        evaluation: what was measured.
        detector: what it was measured of.
        folder: the folder to write.
        pictures: what was drawn while it was measured. With None all images are scored again.
        overwrite: whether another report may be replaced.

    Raises:
        ConfigError: the folder exists and is no report, or ``overwrite`` is false, or the artifact
            or an image is in it.
        ExportError: the folder cannot be written.
    """
    inputs = [detector.artifact.folder, *(Path(image.path) for image in evaluation.scores)]
    with atomic_folder(folder, overwrite=overwrite, kind=REPORT, inputs=inputs) as partial:
        (partial / "report.json").write_text(evaluation.to_json() + "\n", encoding="utf-8")
        _draw_curves(evaluation, partial / "curves.png")
        (partial / "images").mkdir()
        named = []
        for number, image in enumerate(evaluation.scores, start=1):
            name = _name(image, number)
            drawn = (pictures and pictures.of(image.path)) or _drawn_again(detector, image)
            (partial / name).write_bytes(drawn)
            named.append((name, image))
        html = page(evaluation, named, _made(evaluation, detector))
        (partial / "index.html").write_text(html, encoding="utf-8")


def _name(image: ScoredImage, number: int) -> str:
    """A name for the picture. The number makes it unique, valid, and inside this folder."""
    called = re.sub(r"[^A-Za-z0-9]+", "-", f"{image.kind}-{Path(image.path).stem}")[:60]
    return f"images/{number:04}-{called}.jpg"


def _drawn_again(detector: Detector, image: ScoredImage) -> bytes:
    pictures, pixels = Pictures(detector), read_image(image.path)
    label = TestImage(path=Path(image.path), kind=image.kind)
    pictures.add(label, pixels, detector.predict(pixels))
    drawn = pictures.of(image.path)
    assert drawn is not None, "it was drawn just now"
    return drawn


def _jpeg(picture: RGBImage) -> bytes:
    bgr: NDArray[np.uint8] = np.ascontiguousarray(picture[..., ::-1])
    _, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return encoded.tobytes()


def _made(evaluation: Evaluation, detector: Detector) -> dict[str, str]:
    """What the artifact is, and when and with what the report was made."""
    manifest = detector.manifest
    rows, cols = manifest.preprocessing.size
    origins = [member.network.origin for member in manifest.members]
    return {
        "artifact": evaluation.artifact,
        "SHA-256": evaluation.artifact_sha256,
        "threshold from": describe_threshold(manifest.calibration),
        "network": "; ".join(", ".join(f"{k} {v}" for k, v in o.items()) for o in origins),
        "input": f"{rows} x {cols} pixels",
        "engine": f"{detector.engine.name} {detector.engine.version}, {detector.precision}",
        "exported with": ", ".join(f"{name} {v}" for name, v in manifest.versions.items()),
        "images": "; ".join(evaluation.labels) or f"{evaluation.images}",
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "runtime": f"edge-ad-runtime {__version__}",
    }


def _draw_curves(evaluation: Evaluation, path: Path) -> None:
    from matplotlib.figure import Figure

    scores = np.array([image.score for image in evaluation.scores])
    is_defective = np.array([image.is_defective for image in evaluation.scores])
    figure = Figure(figsize=(12, 3.8), layout="constrained")
    histogram, roc, pr = figure.subplots(1, 3)
    bins, beyond = _bins(scores, evaluation.threshold)
    scores = np.clip(scores, bins[0], bins[-1])
    histogram.hist(scores[~is_defective], bins, label="good", color="#4477aa", alpha=0.7)
    histogram.hist(scores[is_defective], bins, label="defective", color="#cc3311", alpha=0.7)
    histogram.axvline(evaluation.threshold, color="black", ls="--", label="threshold")
    title = f"scores ({beyond} larger ones in the last bar)" if beyond else "scores"
    histogram.set(xlabel="image score", ylabel="images", title=title)
    histogram.legend()
    scores = np.array([image.score for image in evaluation.scores])
    roc.plot(*metrics.roc(scores, is_defective), color="#4477aa")
    roc.set(
        xlabel="good images rejected",
        ylabel="defective images found",
        title=f"ROC, area {evaluation.image_auroc:.4f}",
    )
    _, precision, recall = metrics.precision_recall(scores, is_defective)
    pr.plot(recall, precision, color="#4477aa")
    pr.set(
        xlabel="recall", ylabel="precision", title=f"PR, best F1 {evaluation.f1_best:.4f}",
        ylim=(0, 1.03),
    )  # fmt: skip
    for axis in (roc, pr):
        axis.grid(alpha=0.3)
    figure.savefig(path, dpi=110)


def _bins(scores: NDArray[np.float64], threshold: float) -> tuple[list[float], int]:
    """The edges of the histogram's bars, and how many scores are beyond the last.

    One score that is far above all others must not squeeze them into one bar.
    """
    low, high = min(scores.min(), threshold), max(scores.max(), threshold)
    usual = float(np.percentile(scores, 95))
    high = min(high, max(usual, threshold) + 2 * (max(usual, threshold) - low))
    margin = 0.02 * max(high - low, 1e-12)
    edges = np.linspace(low - margin, high + margin, 40)
    return edges.tolist(), int((scores > edges[-1]).sum())
