"""One cell: fit, export, evaluate and time, into a folder that gets its name when all is done."""

from __future__ import annotations

import time
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from edge_ad.evaluation.evaluate import evaluate
from edge_ad.fitting.fitted import FittedDetector
from edge_ad.fitting.fitting import fit
from edge_ad.images.good import list_images
from edge_ad.images.labelled import list_test_images
from edge_ad_export.exporting import export
from edge_ad_export.many.plan import Cell
from edge_ad_runtime.artifact import strict
from edge_ad_runtime.artifact.atomic import FolderKind, atomic_folder
from edge_ad_runtime.detector import Detector
from edge_ad_runtime.errors import ArtifactError, EdgeADError
from edge_ad_runtime.escaping import json_text

FOLDER = FolderKind(name="a cell", marker="cell.json", keys=frozenset({"key", "figures"}))

_TIMED = 8


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What is known of a cell. Only the first three look at labelled images.

    Attributes:
        image_auroc: of the labelled images, None without them.
        pixel_auroc: of the labelled images, None without masks.
        pro: of the labelled images, None without masks.
        spread: how far the scores of good images that were left out reach above what is usual: the
            90th percentile less the median, divided by the median. None where scores are no
            distances, or no image was left out.
        left_out: how many good images were left out.
        covering_ratio: of the bank's certificate, None without a bank.
        image_ms: the median time of an image on one thread, beside whatever else ran.
        size_bytes: of the artifact.
    """

    image_auroc: float | None
    pixel_auroc: float | None
    pro: float | None
    spread: float | None
    left_out: int
    covering_ratio: float | None
    image_ms: float
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class CellRecord:
    """The content of ``cell.json``.

    Attributes:
        key: the SHA-256 of all that the cell was made from.
        part: the part's name.
        setting: the setting's name.
        figures: what was measured.
        seconds: how long all of it took.
        notes: warnings, and images that could not be read.
    """

    key: str
    part: str
    setting: str
    figures: Figures
    seconds: float
    notes: tuple[str, ...]


def folder_of(cell: Cell, out: Path) -> Path:
    """The folder of a cell: its name, and the first digits of the hash of what it is made from.

    Raises:
        EdgeADError: the part's images cannot be had.
    """
    return out / "cells" / f"{cell.name}.{cell.key[:12]}"


def step_file(cell: Cell, out: Path) -> Path:
    """Where a cell says what it is doing, for whoever waits."""
    return out / "cells" / f".{cell.name}.step"


def finished(folder: Path) -> CellRecord | None:
    """The record of a cell that is done, or None.

    Raises:
        ArtifactError: there is a record that cannot be read.
    """
    path = folder / FOLDER.marker
    try:
        return strict.parse(CellRecord, strict.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as exc:
        raise ArtifactError(f"{exc}; remove the folder, and run again", path=path) from exc


def run_cell(cell: Cell, *, out: Path) -> CellRecord:
    """Do all of a cell.

    Raises:
        EdgeADError: a step failed. Nothing of the cell is there then.
    """
    start, steps = time.perf_counter(), step_file(cell, out)
    with (
        warnings.catch_warnings(record=True) as caught,
        atomic_folder(folder_of(cell, out), overwrite=False, kind=FOLDER) as folder,
    ):
        warnings.simplefilter("always")
        try:
            figures, notes = _measured(cell, folder, steps)
        finally:
            steps.unlink(missing_ok=True)
        record = CellRecord(
            key=cell.key,
            part=cell.part.name,
            setting=cell.setting.name,
            figures=figures,
            seconds=round(time.perf_counter() - start, 1),
            notes=(*dict.fromkeys(str(each.message) for each in caught), *notes),
        )
        (folder / FOLDER.marker).write_text(strict.dumps(record) + "\n", encoding="utf-8")
    return record


def _measured(cell: Cell, folder: Path, steps: Path) -> tuple[Figures, tuple[str, ...]]:
    steps.write_text("fit", encoding="utf-8")
    images = list_images(cell.part.good)
    fitted = fit(images, cell.setting.fit)
    fitted.save(folder / "fit")
    steps.write_text("export", encoding="utf-8")
    report = export(fitted, folder / f"{cell.name}.edgead", cell.setting.export)
    steps.write_text("evaluate", encoding="utf-8")
    evaluation, notes = None, tuple[str, ...]()
    with Detector.load(report.path, threads=1) as detector:
        image_ms = _image_ms(detector, images)
        if cell.part.test is not None:
            evaluation = evaluate(detector, list_test_images(cell.part.test))
            notes = evaluation.errors
            text = json_text(asdict(evaluation), indent=2)
            (folder / "evaluation.json").write_text(text + "\n", encoding="utf-8")
    certificate = fitted.record.certificate
    figures = Figures(
        image_auroc=None if evaluation is None else evaluation.image_auroc,
        pixel_auroc=None if evaluation is None else evaluation.pixel_auroc,
        pro=None if evaluation is None else evaluation.pro,
        spread=_spread(fitted),
        left_out=len(fitted.left_out_scores),
        covering_ratio=None if certificate is None else certificate.ratio,
        image_ms=image_ms,
        size_bytes=report.size_bytes,
    )
    return figures, notes


def _image_ms(detector: Detector, images: list[Path]) -> float:
    """The median time of an image, the first of which is not counted."""
    times = []
    for path in [images[0], *images[:_TIMED]]:
        try:
            times.append(detector.predict(path).timings_ms["total"])
        except EdgeADError:  # evaluate names it
            continue
    return float(np.median(times[1:]))


def _spread(fitted: FittedDetector) -> float | None:
    scores = fitted.left_out_scores
    if not len(scores) or scores.min() <= 0:  # none, or decades of any sign
        return None
    median = float(np.median(scores))
    return (float(np.quantile(scores, 0.9)) - median) / median
