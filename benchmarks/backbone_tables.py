"""The section on backbones of benchmarks/README.md."""

from __future__ import annotations

from typing import Any

from benchmarks.markdown import table

_UNTRAINED, _IMAGENET = "ResNet18, untrained", "ResNet18, ImageNet"


def backbones_section(record: dict[str, Any]) -> str:
    return "\n\n".join(
        part(record)
        for name, part in (("real", _real), ("generated", _generated), ("explored", _explored))
        if name in record
    )


def _real(record: dict[str, Any]) -> str:
    runs = record["real"]
    lines = []
    for name, by_set in runs.items():
        cells = []
        for data, found in by_set.items():
            low, high = (runs[n][data]["image_auroc"] for n in (_UNTRAINED, _IMAGENET))
            auroc = found["image_auroc"]
            share = f" ({(auroc - low) / (high - low):.2f})" if high > low else ""
            cells.append(f"{auroc:.3f}{share}")
        first = next(iter(by_set.values()))
        lines.append([name, str(first["dimension"]), f"{first['torch_ms']:.0f} ms", *cells])
    sets = runs[_UNTRAINED]
    tested = ", ".join(
        f"{name}: {found['fitted']} fitted, {found['tested']} tested"
        for name, found in sets.items()
    )
    return (
        "## Backbones\n\n"
        "Image AUROC with a 1% coreset and the default settings, and in brackets the share of the way from untrained to "
        f"ImageNet weights of ResNet18. {tested}. Nothing was chosen on these images. The two reduced categories have 2 good test images each: one pair of images is a sixteenth, and a share says little. The time is torch's for one image, on one thread.\n\n"
        + table(["network", "dimension", "time", *sets], lines)
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
        "What the default was chosen on: ten kinds of drawn parts (`benchmarks/generated_parts.py`), 40 good images fitted, 16 good "
        "and 24 defective ones tested. *Drifted*: the test images' exposure is off by up to 20% and their focus is softer. By kind: as "
        "fitted.\n\n" + table(["network", "mean", "drifted", *kinds], lines)
    )


def _explored(record: dict[str, Any]) -> str:
    lines = [
        [run["name"], *(f"{run[s]:.3f}" if s in run else "" for s in ("as fitted", "drifted"))]
        for run in record["explored"]
    ]
    return (
        "### Tried on them\n\n"
        "Mean image AUROC over the ten kinds, without equation 7, of variants of the fixed filters, in the order in "
        "which they were tried (three dots: a change to the first line above without them; in brackets the dimension). A difference of less "
        "than 0.01 is chance. What was taken: layers 2 and 3, 8 orientations, shrinkage 0.1, of the image's root (these together were first measured in the table above).\n\n"
        + table(["variant", "as fitted", "drifted"], lines)
    )
