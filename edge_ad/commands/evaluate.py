"""``edge-ad evaluate``: how good an artifact is on labelled images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_ad_runtime.commands.options import (
    ARTIFACT,
    AS_JSON,
    ENGINE,
    OVERWRITE,
    THREADS,
    THRESHOLD,
)
from edge_ad_runtime.commands.talk import remark
from edge_ad_runtime.errors import ConfigError

if TYPE_CHECKING:
    from edge_ad.evaluation.evaluate import Evaluation
    from edge_ad_runtime.artifact.words import EngineChoice


@click.command()
@ARTIFACT
@click.argument("test_dir", type=click.Path(path_type=Path))
@AS_JSON
@click.option(
    "--layout",
    default="auto",
    show_default=True,
    help="mvtec, btad, visa, magnetic-tile, frames, folders, list, coco, voc; auto looks for "
    "itself.",
)
@ENGINE
@THREADS
@THRESHOLD
@click.option("--report", type=click.Path(path_type=Path), help="Write an HTML report folder.")
@OVERWRITE
def evaluate(
    artifact: Path,
    test_dir: Path,
    as_json: bool,
    layout: str,
    engine: EngineChoice,
    threads: int | None,
    threshold: float | None,
    report: Path | None,
    overwrite: bool,
) -> None:
    """Measure an artifact on labelled images.

    Gives AUROC, pixel AUROC, PRO, best F1, and IoU and counts at the artifact's threshold. TEST_DIR
    has MVTec AD's layout (test/good, test/<defect>, ground_truth/<defect>), that of another public
    data set, or simply the folders good and bad; or it is a .csv or .json list of path, label and
    mask or boxes, a COCO file, or a folder of Pascal VOC.

    Below the figures it says what they mean: whether good parts are rejected as seldom as was
    promised, what is missed, and which command mends it.

    \b
    Example: edge-ad evaluate line3.edgead test_parts --report line3-report
    """
    from edge_ad.evaluation.evaluate import evaluate as evaluate_detector
    from edge_ad.evaluation.labels_told import tell_labels
    from edge_ad.evaluation.report import REPORT, Pictures, write_report
    from edge_ad.images.labelled import layout_of, list_test_images
    from edge_ad_runtime.artifact.atomic import check_free
    from edge_ad_runtime.detector import Detector

    if report is not None:
        check_free(report, overwrite=overwrite, kind=REPORT, inputs=[artifact, test_dir])
    images = list_test_images(test_dir, layout)
    labels = tell_labels(test_dir, layout_of(test_dir, layout), images)
    for line in labels:
        remark(line)
    detector = Detector.load(artifact, engine=engine, threads=threads, threshold=threshold)
    pictures = Pictures(detector) if report is not None else None
    evaluation = evaluate_detector(
        detector,
        images,
        called=str(artifact),
        seen=None if pictures is None else pictures.add,
        progress=True,
    )
    evaluation = replace(evaluation, labels=labels)
    if report is not None:
        write_report(evaluation, detector, report, pictures=pictures, overwrite=overwrite)
    click.echo(evaluation.to_json() if as_json else describe_evaluation(evaluation))
    if evaluation.errors:
        for error in evaluation.errors:
            click.echo(f"error: {error}", err=True)
        raise ConfigError(
            f"{len(evaluation.errors)} of {len(images)} images could not be read; "
            "the figures leave them out"
        )


def describe_evaluation(evaluation: Evaluation) -> str:
    """The figures as a short table."""

    def optional(value: float | None) -> str:
        return evaluation.why_no_pixels if value is None else f"{value:.4f}"

    iou = evaluation.why_no_iou
    if evaluation.iou is not None:
        iou = f"{evaluation.iou:.4f} at the threshold"
    lines = [
        f"image AUROC  {evaluation.image_auroc:.4f}",
        f"pixel AUROC  {optional(evaluation.pixel_auroc)}",
        f"PRO (30%)    {optional(evaluation.pro)}",
        f"IoU          {iou}",
        f"best F1      {evaluation.f1_best:.4f} at {evaluation.f1_best_threshold:.4g}",
        f"at the threshold {evaluation.threshold:.4g}: {evaluation.true_goods} good accepted, "
        f"{evaluation.false_rejects} rejected; {evaluation.detected} defective found, "
        f"{evaluation.missed} missed",
    ]
    lines += [
        f"  {kind.kind:<14} AUROC {kind.auroc:.4f}, found {kind.detected} of {kind.images}"
        for kind in evaluation.by_kind
    ]
    return "\n".join([*lines, "", *evaluation.remarks])
