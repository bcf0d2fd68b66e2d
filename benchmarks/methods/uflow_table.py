"""The section of benchmarks/README.md on `benchmarks.methods.uflow`."""

from __future__ import annotations

from statistics import median
from typing import Any

from benchmarks.harness.markdown import table
from benchmarks.methods.uflow import PATCHCORE, UFLOW

_MEASURES = ("image_auroc", "pixel_auroc", "pro", "iou")


def section(record: dict[str, Any]) -> str:
    height, width = record["size"]
    kinds = ("time", "limit")
    results = {key: run for key, run in record["found"].items() if not key.startswith(kinds)}
    lines = [_line(key, run) for key, run in _by_set(results)]
    head = [
        *("set", "method", "image AUROC", "pixel AUROC", "PRO", "IoU at the threshold"),
        *("left-out good rejected", "test good rejected", "defective found", "size", "fit"),
    ]
    found = record["found"].items()
    times = [_times(key, run) for key, run in found if key.startswith("time")]
    limits = {key.split(" | ")[1]: run for key, run in found if key.startswith("limit")}
    return (
        "## U-Flow beside PatchCore and PaDiM\n\n"
        f"All with ImageNet's ResNet18 at {height} x {width}, the same good images and the default settings. The threshold of each is its own: U-Flow's of one false alarm in an image of noise, the others' learned from "
        "images that were left out. Those set the threshold of PatchCore and PaDiM, so that none of them can be above it. Of U-Flow they only check it. IoU is of the mask at that threshold. "
        "A fit's time is of shared processors, and in brackets what it took of theirs.\n\n"
        + "\n\n".join([table(head, lines), *_trainings(results), *times, *_limits(limits)])
    )


def _by_set(results: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    sets = list(dict.fromkeys(key.split(" | ")[1] for key in results))
    return sorted(results.items(), key=lambda pair: sets.index(pair[0].split(" | ")[1]))


def _line(key: str, run: dict[str, Any]) -> list[str]:
    method, name = key.split(" | ")
    good = run["false_rejects"] + run["true_goods"]
    defective = run["detected"] + run["missed"]
    return [
        name,
        method,
        *(f"{run[measure]:.3f}" for measure in _MEASURES),
        f"{run['left_out_rejected']} of {run['left_out']}",
        f"{run['false_rejects']} of {good}",
        f"{run['detected']} of {defective}",
        f"{run['size_bytes'] / 1e6:.0f} MB",
        _fit(run),
    ]


def _fit(run: dict[str, Any]) -> str:
    if run.get("training", {}).get("begun_at"):
        return "in parts"
    of_processors = f" ({run['fit_processor_s']:.0f} s)" if "fit_processor_s" in run else ""
    return f"{run['fit_s']:.0f} s{of_processors}"


def _trainings(results: dict[str, Any]) -> list[str]:
    told = [
        f"{key.split(' | ')[1]} {run['training']['epochs']} epochs, the best of which was number {run['training']['best_epoch']}"
        for key, run in results.items()
        if "training" in run
    ]
    return [f"The trainings: {'; '.join(told)}."] if told else []


def _limits(found: dict[str, dict[str, Any]]) -> list[str]:
    """What the default of ``--latent-limit`` was chosen by."""
    lines = [
        [
            name,
            limit,
            f"{run['held_out_rejected']} of {run['held_out']}",
            f"{run['damaged_found']} of {run['damaged']}",
            f"{run['auroc']:.3f}",
            f"{run['iou']:.3f}",
            f"{run['price']:.1f}",
        ]
        for name, limits in found.items()
        for limit, run in limits.items()
    ]
    head = [
        *("set", "limit", "held-out good rejected", "damaged copies found", "image AUROC"),
        *("IoU", "price in decades"),
    ]
    text = (
        "How many standard deviations a latent counts for at most (`--latent-limit`), by held-out good images and damaged copies of them. "
        "No test image has a say in it.\n\n"
    )
    return [text + table(head, lines)] if lines else []


def _times(key: str, found: dict[str, Any]) -> str:
    ms = {
        method: {stage: median(times) for stage, times in run["ms"].items()}
        for method, run in found.items()
    }
    lines = [
        [
            method,
            f"{stages['total']:.0f} ms",
            f"{stages['total'] / ms[PATCHCORE]['total']:.1f}",
            ", ".join(f"{stage} {stages[stage]:.0f}" for stage in stages if stage != "total"),
        ]
        for method, stages in ms.items()
    ]
    images = len(found[UFLOW]["ms"]["total"])
    return (
        f"One image of {key.split(' | ')[1]}, from the file to score and map, all three in turn on the same {images}: medians.\n\n"
        + table(["method", "total", "times PatchCore's", "stages, in ms"], lines)
    )
