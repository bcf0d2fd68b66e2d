"""The section of benchmarks/README.md on `benchmarks.backbones`."""

from __future__ import annotations

from statistics import median
from typing import Any

import numpy as np

from benchmarks.harness.markdown import table

_OWN = "image_auroc_of_own_split"
_UNTRAINED, _IMAGENET = "ResNet18, untrained", "ResNet18, ImageNet"


def section(record: dict[str, Any]) -> str:
    return "\n\n".join(
        part(record)
        for name, part in (
            ("real", _real),
            ("time", _time),
            ("generated", _generated),
            ("damaged", _damaged),
            ("explored", _explored),
        )
        if name in record
    )


def _real(record: dict[str, Any]) -> str:
    runs = record["real"]
    lines = []
    for name, by_set in runs.items():
        cells, shares = [], []
        for data, found in by_set.items():
            low, high = (runs[n][data]["image_auroc"] for n in (_UNTRAINED, _IMAGENET))
            auroc = found["image_auroc"]
            shares.append((auroc - low) / (high - low))
            cells.append(f"{auroc:.3f} ({shares[-1]:.2f})")
        *_, last = by_set.values()
        lines.append([name, str(last["dimension"]), *cells, f"{np.mean(shares):.2f}"])
    sets = runs[_UNTRAINED]
    tested = ", ".join(
        f"{name}: {found['fitted']} good images to fit and {found['tested']} to test"
        for name, found in sets.items()
    )
    return (
        "## Backbones\n\n"
        "Image AUROC with a 1% coreset and the default settings, and in brackets the share of the way from untrained to "
        f"ImageNet weights of ResNet18. {tested}. Nothing was chosen on these images. The reduced categories have 2 good images to test each, which says next to nothing; so there all good images take turns, in five folds: each is fitted in four and tested in one, beside all defective ones.\n\n"
        + table(["network", "dimension", *sets, "mean share"], lines)
        + "\n\nOn the reduced sets' own splits, 16 pairs of images each: "
        + "; ".join(
            f"{name} "
            + ", ".join(f"{found[_OWN]:.3f}" for found in by_set.values() if found["folds"] > 1)
            for name, by_set in runs.items()
            if all(_OWN in found for found in by_set.values())
        )
        + "."
    )


def _time(record: dict[str, Any]) -> str:
    resnet = record["time"][_UNTRAINED]

    def cell(engine: str, samples: Any) -> str:
        if "refused" in samples:
            return f"cannot run here: {samples['refused']}"
        ratio = median(samples) / median(resnet[engine])
        return f"{median(samples):.1f} ms ({ratio:.1f}x)"

    lines = [
        [name, *(cell(engine, samples) for engine, samples in by_engine.items())]
        for name, by_engine in record["time"].items()
    ]
    return (
        "The exported networks, one image on all cores, run in turn: medians, and in brackets beside ResNet18.\n\n"
        + table(["network", *resnet], lines)
    )


def _generated(record: dict[str, Any]) -> str:
    found = record["generated"]
    kinds = [kind for kind in next(iter(found.values()))["as fitted"] if kind != "mean"]
    lines = [
        [name, *(f"{sets[s]['mean']:.3f}" for s in ("as fitted", "drifted"))]
        + [f"{sets['as fitted'][kind]:.2f}" for kind in kinds]
        for name, sets in found.items()
    ]
    return (
        "### On generated parts\n\n"
        "What choices are made on: ten kinds of drawn parts (`edge_ad/recipes/generated_parts.py`), by other code than what `procedural` was trained on, though cells, weaves and boards are in both; 40 good images fitted, 16 good "
        "and 24 defective ones tested. *Drifted*: the test images' exposure is off by up to 20% and their focus is softer. By kind: as "
        "fitted.\n\n" + table(["network", "mean", "drifted", *kinds], lines)
    )


def _damaged(record: dict[str, Any]) -> str:
    found = record["damaged"]
    sets = next(iter(found.values()))
    lines = [
        [name, *(f"{by_set[s]['image_auroc']:.3f}" for s in sets)]
        + [f"{np.mean([by_set[s]['image_auroc'] for s in sets]):.3f}"]
        for name, by_set in found.items()
    ]
    return (
        "### On real good images, faintly damaged\n\n"
        "What choices are made on too, since no defect is seen: good images of the real sets, held out in five folds, beside copies of themselves with 30% of the "
        "strength of a drawn scratch, dent, stain or misprint. "
        + ", ".join(f"{s}: {found['images']} images" for s, found in sets.items())
        + ".\n\n"
        + table(["network", *sets, "mean"], lines)
    )


def _explored(record: dict[str, Any]) -> str:
    lines = [
        [run["name"], *(f"{run[s]:.3f}" if s in run else "" for s in ("as fitted", "drifted"))]
        for run in record["explored"]
    ]
    return (
        "### Tried on them\n\n"
        "Mean image AUROC over the ten kinds, without equation 7, in the order in which they were tried (three dots: a change to the first line "
        "above without them; in brackets the dimension). A difference of less than 0.01 is chance. Of the fixed filters, what was taken: layers 2 and 3, 8 "
        "orientations, shrinkage 0.1, of the image's root (these together were first measured in the table above). Of the trained network "
        "over them: the average after 2,000 steps. Objectives tried before and given up: distances of damaged patches alone, not in units of the good ones' (the "
        "features collapse within minutes); classification of patches into 1,000 drawn classes (no better than untrained after fifteen minutes).\n\n"
        + table(["variant", "as fitted", "drifted"], lines)
    )
