"""The section of benchmarks/README.md on `benchmarks.accuracy`."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.harness.markdown import table

_NAMES = {
    "edge_ad": "**edge_ad**",
    "edge_ad, 256 px": "edge_ad, 256 px",
    "inspection": "patchcore-inspection's convention",
    "anomalib": "anomalib",
}
_MEASURES = ("image_auroc", "pixel_auroc", "pro")
_RATES = ("0.01", "0.05")
_HEAD = ["", "", "image AUROC", "pixel AUROC", "PRO", "found at 1%", "found at 5%", "rejected"]


def section(record: dict[str, Any]) -> str:
    found: dict[str, dict[str, Any]] = {}  # by set, then by way
    for key, figures in record["found"].items():
        name, way = key.split(" | ")
        found.setdefault(name, {})[way] = figures
    rows = [
        [
            _described(name, ways[way]) if way == "edge_ad" else "",
            _NAMES[way],
            *(f"{ways[way][measure]:.3f}" for measure in _MEASURES),
            *(_found(ways[way], rate) for rate in _RATES),
            f"{ways[way]['at']['0.05']['rejected']}",
        ]
        for name, ways in found.items()
        for way in _NAMES
    ]
    rows += [
        [
            "mean of all" if way == "edge_ad" else "",
            _NAMES[way],
            *(f"{_mean(found, way, measure):.3f}" for measure in _MEASURES),
            *(f"{_mean_found(found, way, rate):.0%}" for rate in _RATES),
            f"{_mean_rejected(found, way):.1%}",
        ]
        for way in _NAMES
    ]
    return (
        "## Detectors as they come, on equal terms\n\n"
        "The same good images, test images and ImageNet ResNet18 (layers 2 and 3), a 10% bank; everything else is what each does by itself, but that pixels are those of the images for all: "
        "edge_ad takes the whole image at 224 px, patchcore-inspection's convention (in edge_ad) 224 px cut from 256, anomalib's detector the whole image at 256 px. "
        "edge_ad at 256 px stands beside it, to tell what is the size's merit. Where nothing was looked at, as at the edges that are cut off, a map is 0. "
        "Thresholds are from good images alone. edge_ad's is from all of them, each left out in turn. The others have no such threshold, so theirs is from a fifth of the good "
        "images, held out of a second detector; *rejected* are the good test images above the one of 5%. A rate in brackets is the smallest that so few images support, "
        "in the place of the one that was asked for. anomalib's patches are chosen by edge_ad's greedy rule, as its own takes an hour and more of 300 images. "
        "The two reduced categories have ten test images each.\n\n" + table(_HEAD, rows) + "\n\n"
        "Where edge_ad at 224 px finds less than a peer, it is by the size: at 256 px no mean of AUROC or PRO is below a peer's. 224 px stay the default, since 256 have 1.3 times the "
        "patches, and the coreset's work grows with their square. Cutting off the edges gains pixels for the middle, which shows in screws and boards, and is blind at the edges, "
        "which shows in the tiles' PRO. The boards are 144 positions of one layout, so that many of the good ones show the same part again: those count once for edge_ad's threshold, which is "
        "therefore from 40 scores. Leaving images out errs on the careful side, as the next section shows: it rejects fewer good images than it may, and finds somewhat less."
    )


def _described(name: str, figures: dict[str, Any]) -> str:
    tested = f"{figures['test_good']} + {figures['test_defective']} tested"
    return f"{name}: {figures['good']} good; {tested}"


def _found(figures: dict[str, Any], rate: str) -> str:
    at = figures["at"][rate]
    stated = "" if at["stated"] <= float(rate) else f" ({at['stated']:.1%})"
    return f"{at['found']} of {figures['test_defective']}{stated}"


def _mean(found: dict[str, dict[str, Any]], way: str, measure: str) -> float:
    return float(np.mean([ways[way][measure] for ways in found.values()]))


def _mean_found(found: dict[str, dict[str, Any]], way: str, rate: str) -> float:
    of_each = [ways[way] for ways in found.values()]
    return float(np.mean([each["at"][rate]["found"] / each["test_defective"] for each in of_each]))


def _mean_rejected(found: dict[str, dict[str, Any]], way: str) -> float:
    of_each = [ways[way] for ways in found.values()]
    rejected = sum(each["at"]["0.05"]["rejected"] for each in of_each)
    return float(rejected / sum(each["test_good"] for each in of_each))
