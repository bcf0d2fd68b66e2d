"""A folder that shows an evaluation: ``index.html``, curves, the images it got most wrong."""

from __future__ import annotations

import itertools
import re
from html import escape
from pathlib import Path

import numpy as np

from edge_ad.evaluation import metrics
from edge_ad.evaluation.evaluate import Evaluation, ScoredImage
from edge_ad_runtime.artifact.atomic import FolderKind, atomic_folder
from edge_ad_runtime.detector import Detector
from edge_ad_runtime.images import read_image, write_png
from edge_ad_runtime.pictures.overlay import draw_overlay, draw_verdict

REPORT = FolderKind(
    name="a report", marker="report.json", keys=frozenset({"artifact_sha256", "image_auroc"})
)

_WORST = 8


def write_report(
    evaluation: Evaluation, detector: Detector, folder: Path, *, overwrite: bool = False
) -> None:
    """Write ``index.html``, ``report.json``, ``curves.png`` and ``images/`` atomically.

    Raises:
        ConfigError: the folder exists and is no report, or ``overwrite`` is false, or the artifact
            or an image is in it.
        ExportError: the folder cannot be written.
    """
    inputs = [detector.artifact.folder, *(Path(image.path) for image in evaluation.scores)]
    with atomic_folder(folder, overwrite=overwrite, kind=REPORT, inputs=inputs) as partial:
        (partial / "report.json").write_text(evaluation.to_json() + "\n", encoding="utf-8")
        _draw_curves(evaluation, partial / "curves.png")
        numbers = itertools.count(1)
        sections = [
            (title, [_write_overlay(detector, i, next(numbers), partial) for i in images])
            for title, images in _worst(evaluation).items()
            if images
        ]
        (partial / "index.html").write_text(_html(evaluation, sections), encoding="utf-8")


def _worst(evaluation: Evaluation) -> dict[str, list[ScoredImage]]:
    """Up to eight images of each section, the most telling first."""
    ranked = sorted(evaluation.scores, key=lambda image: image.score)
    good = [image for image in reversed(ranked) if not image.is_defective]
    bad = [image for image in ranked if image.is_defective]
    return {
        "Good images with the highest scores": good[:_WORST],
        "Defective images with the lowest scores": bad[:_WORST],
        "Defective images with the highest scores": bad[::-1][:_WORST],
    }


def _write_overlay(
    detector: Detector, image: ScoredImage, number: int, folder: Path
) -> tuple[str, ScoredImage]:
    """Write one picture. Its number makes its name unique, valid, and inside this folder."""
    called = re.sub(r"[^A-Za-z0-9]+", "-", f"{image.kind}-{Path(image.path).stem}")[:60]
    name = f"images/{number:02}-{called}.png"
    pixels = read_image(image.path)
    prediction = detector.predict(pixels)
    if prediction.map is None:
        picture = draw_verdict(pixels, prediction)
    else:
        picture = draw_overlay(pixels, prediction, detector.manifest.preprocessing)
    write_png(folder / name, picture)
    return name, image


def _draw_curves(evaluation: Evaluation, path: Path) -> None:
    from matplotlib.figure import Figure

    scores = np.array([image.score for image in evaluation.scores])
    is_defective = np.array([image.is_defective for image in evaluation.scores])
    figure = Figure(figsize=(12, 3.8), layout="constrained")
    histogram, roc, pr = figure.subplots(1, 3)
    least, most = min(0.0, scores.min()), max(0.0, scores.max())
    margin = 0.02 * max(most - least, 1e-12)
    bins = list(np.linspace(least - margin * (least < 0), most + margin, 40))
    histogram.hist(scores[~is_defective], bins, label="good", color="#4477aa", alpha=0.7)
    histogram.hist(scores[is_defective], bins, label="defective", color="#cc3311", alpha=0.7)
    histogram.axvline(evaluation.threshold, color="black", ls="--", label="threshold")
    histogram.set(xlabel="image score", ylabel="images", title="scores")
    histogram.legend()
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


def _html(evaluation: Evaluation, sections: list[tuple[str, list[tuple[str, ScoredImage]]]]) -> str:
    """The page, built in one function that reads from top to bottom as the browser shows it."""
    figures = {
        "image AUROC": f"{evaluation.image_auroc:.4f}",
        "pixel AUROC": _optional(evaluation.pixel_auroc, evaluation.why_no_pixels),
        "PRO (30%)": _optional(evaluation.pro, evaluation.why_no_pixels),
        "IoU at the threshold": _optional(evaluation.iou, evaluation.why_no_iou),
        "best F1": f"{evaluation.f1_best:.4f} at {evaluation.f1_best_threshold:.4g}",
        "threshold": f"{evaluation.threshold:.4g}",
        "good, accepted / rejected": f"{evaluation.true_goods} / {evaluation.false_rejects}",
        "defective, found / missed": f"{evaluation.detected} / {evaluation.missed}",
    }
    rows = "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in figures.items())
    kinds = "".join(
        f"<tr><th>{escape(k.kind)}</th><td>{k.auroc:.4f}</td>"
        f"<td>{k.detected} of {k.images}</td></tr>"
        for k in evaluation.by_kind
    )
    errors = "".join(f"<li>{escape(error)}</li>" for error in evaluation.errors)
    pictures = "".join(
        f"<h2>{title}</h2>"
        + "".join(
            f'<figure><img src="{escape(name)}" alt=""><figcaption>{escape(image.path)}'
            "</figcaption></figure>"
            for name, image in images
        )
        for title, images in sections
    )
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{escape(evaluation.artifact)}</title>
<style>
body {{ font-family: sans-serif; max-width: 1100px; margin: 2em auto; }}
table {{ border-collapse: collapse; display: inline-table; margin-right: 3em; }}
th, td {{ text-align: left; padding: 3px 12px; border-bottom: 1px solid #ddd; }}
figure {{ display: inline-block; margin: 6px; }} figure img {{ width: 520px; }}
figcaption {{ font-size: 12px; color: #555; max-width: 520px; overflow-wrap: anywhere; }}
img {{ max-width: 100%; }}
</style>
<h1>{escape(evaluation.artifact)} on {evaluation.images} images</h1>
<table>{rows}</table>
<table><tr><th>defect</th><td>AUROC</td><td>found</td></tr>{kinds}</table>
{f"<h2>Could not be read</h2><ul>{errors}</ul>" if errors else ""}
<p><img src="curves.png" alt="histogram of scores, ROC and precision-recall curves"></p>
{pictures}
</html>
"""


def _optional(value: float | None, why_not: str) -> str:
    return why_not if value is None else f"{value:.4f}"
