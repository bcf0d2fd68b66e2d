"""The section of benchmarks/README.md on `benchmarks.accuracy`."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.harness.markdown import table

_NAMES = {
    "edge_ad": "**edge_ad**",
    "inspection": "patchcore-inspection's convention",
    "anomalib": "anomalib",
}
_MEASURES = ("image_auroc", "pixel_auroc", "pro")
_HEAD = ["", "", "image AUROC", "pixel AUROC", "PRO", "found at 1%", "found at 5%", "rejected"]


def section(record: dict[str, Any]) -> str:
    found = record["found"]
    rows = [
        [
            f"{name}: {of['good']} good; {of['test_good']} + {of['test_defective']} tested" if first
            else "",
            _NAMES[way],
            *(f"{figures[measure]:.3f}" for measure in _MEASURES),
            *(_found(figures, rate, of["test_defective"]) for rate in ("0.01", "0.05")),
            f"{figures['at']['0.05']['rejected']}",
        ]
        for name, of in found.items()
        for first, (way, figures) in zip((True, False, False), of["ways"].items(), strict=True)
    ]  # fmt: skip
    rows += [
        [
            "mean of all" if first else "",
            _NAMES[way],
            *(f"{_mean(found, way, measure):.3f}" for measure in _MEASURES),
            *(f"{_mean_found(found, way, rate):.0%}" for rate in ("0.01", "0.05")),
            f"{_mean_rejected(found, way):.1%}",
        ]
        for first, way in zip((True, False, False), _NAMES, strict=True)
    ]
    return (
        "## Detectors as they come, on equal terms\n\n"
        "The same good images, test images and ImageNet ResNet18 (layers 2 and 3), a 10% bank; everything else is what each does by itself, but that pixels are those of the images for all: "
        "edge_ad takes the whole image at 224 px, patchcore-inspection's convention (in edge_ad) 224 px cut from 256, anomalib's detector the whole image at 256 px. "
        "Thresholds are from good images alone. edge_ad's is from all of them, each left out in turn. The others have no such threshold, so theirs is from a fifth of the good "
        "images, held out of a second detector; *rejected* are the good test images above the one of 5%. A rate in brackets is the smallest that so few images support, "
        "in the place of the one that was asked for. anomalib's patches are chosen by edge_ad's greedy rule, as its own takes an hour and more of 300 images. "
        "The two reduced categories have ten test images each.\n\n" + table(_HEAD, rows)
    )


def _found(figures: dict[str, Any], rate: str, of: int) -> str:
    at = figures["at"][rate]
    stated = "" if at["stated"] <= float(rate) else f" ({at['stated']:.1%})"
    return f"{at['found']} of {of}{stated}"


def _mean(found: dict[str, Any], way: str, measure: str) -> float:
    return float(np.mean([of["ways"][way][measure] for of in found.values()]))


def _mean_found(found: dict[str, Any], way: str, rate: str) -> float:
    shares = [of["ways"][way]["at"][rate]["found"] / of["test_defective"] for of in found.values()]
    return float(np.mean(shares))


def _mean_rejected(found: dict[str, Any], way: str) -> float:
    rejected = sum(of["ways"][way]["at"]["0.05"]["rejected"] for of in found.values())
    return float(rejected / sum(of["test_good"] for of in found.values()))
