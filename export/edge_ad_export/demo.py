"""The main job from end to end on parts drawn here: no data set, no download."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from edge_ad.evaluation.evaluate import Evaluation, evaluate
from edge_ad.evaluation.report import write_report
from edge_ad.fitting.fitting import fit
from edge_ad.images.labelled import list_test_images
from edge_ad.methods.patchcore.settings import PatchCoreConfig
from edge_ad.synthetic.parts import DEFECTS, HEIGHT_PX, WIDTH_PX, write_parts
from edge_ad_export import ExportConfig, export
from edge_ad_runtime.artifact.atomic import FolderKind, atomic_folder
from edge_ad_runtime.detector import Detector
from edge_ad_runtime.images import RGBImage, read_image, write_png
from edge_ad_runtime.pictures.overlay import draw_overlay
from edge_ad_runtime.proof.verify import StageCheck, VerifyReport, verify

Echo = Callable[[str], object]
_CONFIG = PatchCoreConfig(weights="default", size=(HEIGHT_PX, WIDTH_PX), coreset_fraction=0.03)
_DEMO = FolderKind(name="a demo", marker="plate.fit/fit.json", keys=frozenset({"config"}))


def run_demo(out: Path, *, overwrite: bool, echo: Echo) -> None:
    """Fill ``out`` with parts, a fit, an artifact, overlays, a report and one picture of it all.

    Raises:
        EdgeADError: a step failed. ``out`` is then as it was.
    """
    with atomic_folder(out, overwrite=overwrite, kind=_DEMO) as folder:
        echo("drawing parts: 120 good ones to fit, 12 good and 24 defective ones to test")
        write_parts(folder / "parts", good=120, test_good=12, per_defect=6)
        fitted = fit(folder / "parts/train/good", _CONFIG, progress=True)
        fitted.save(folder / "plate.fit")
        report = export(fitted, folder / "plate.edgead", ExportConfig(), progress=True)
        detector = Detector.load(folder / "plate.edgead")
        evaluation = evaluate(detector, list_test_images(folder / "parts"), progress=True)
        write_report(evaluation, detector, folder / "report")
        verification = verify(detector)
        times = _write_overlays(detector, folder / "parts/test", folder / "overlays")
        write_png(folder / "demo.png", _picture(folder / "overlays"))
    echo("")
    for name, text in {
        **_figures(evaluation),
        "verified": f"{verification.images} reference images, every stage within tolerance, "
        f"scores within {_stage(verification, 'score').worst_difference:.1e} of the reference's",
        "per image": f"{np.median(times):.0f} ms median, {detector.search} search, "
        f"{detector.engine.name}, {os.cpu_count()} cores",
        "artifact": f"{out / 'plate.edgead'} ({report.size_bytes / 1e6:.0f} MB)",
        "overlays": f"{out / 'overlays'}, all in one: {out / 'demo.png'}",
        "report": f"{out / 'report/index.html'}",
    }.items():
        echo(f"{name:<12} {text}")
    echo(f"\nnext: edge-ad score {out / 'plate.edgead'} {out / 'parts/test/scratch'}")


def _figures(evaluation: Evaluation) -> dict[str, str]:
    kinds = ", ".join(f"{k.kind} {k.detected}/{k.images}" for k in evaluation.by_kind)
    return {
        "image AUROC": f"{evaluation.image_auroc:.3f}",
        "pixel AUROC": f"{evaluation.pixel_auroc:.3f}, PRO {evaluation.pro:.3f}",
        "found": f"{kinds}; {evaluation.false_rejects} of "
        f"{evaluation.true_goods + evaluation.false_rejects} good parts rejected",
    }


def _stage(verification: VerifyReport, name: str) -> StageCheck:
    return next(stage for stage in verification.stages if stage.stage == name)


def _write_overlays(detector: Detector, images: Path, out: Path) -> list[float]:
    times = []
    for path in sorted(images.glob("*/*.png")):
        prediction = detector.predict(path)
        times.append(prediction.timings_ms["total"])
        overlay = draw_overlay(read_image(path), prediction, detector.manifest.preprocessing)
        write_png(out / path.relative_to(images), overlay)
    return times


def _picture(overlays: Path) -> RGBImage:
    """The first overlay of a good part and of each defect, two in a row."""
    tiles = [read_image(overlays / kind / "000.png") for kind in ("good", *DEFECTS)]
    tiles.append(read_image(overlays / "scratch/001.png"))
    rows = [np.hstack(tiles[i : i + 2]) for i in range(0, len(tiles), 2)]
    return np.vstack(rows)
