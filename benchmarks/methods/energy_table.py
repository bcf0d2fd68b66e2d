"""The section of benchmarks/README.md on `benchmarks.methods.energy`."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.harness.markdown import table
from benchmarks.harness.record import read_record

_BESIDE = ("PatchCore", "PaDiM", "SPADE")  # of ResNet18, in the record of all methods


def section(record: dict[str, Any]) -> str:
    runs = record["runs"]
    sets = list(dict.fromkeys(key.split(" | ")[2] for key in runs))
    lines = []
    for name in dict.fromkeys(key.split(" | ")[0] for key in runs):
        of_name = {key: run for key, run in runs.items() if key.startswith(f"{name} | ")}
        scores = next(iter(of_name.values()))["scores"]
        lines += [
            [name, score, *(_cell(of_name, score, data) for data in sets)] for score in scores
        ]
    return (
        "## Energies\n\n"
        "Energy-based detection by what the energy is of, by trainer and by score: image AUROC / pixel AUROC in percent. Where there are several seeds, the mean and in brackets the least and the largest. Features are of ImageNet's ResNet18 at 224 px, pixels of 128 px. *Short cd* has 150 steps and 5 Langevin steps before each, of images of 128 px. "
        "The other methods are from the tables above: PatchCore, PaDiM and SPADE of 224 px, U-Flow of 256 px and 200 of the magnetic tiles.\n\n"
        + table(["energy", "score", *sets], [*lines, *_beside(sets)])
        + "\n\n"
        + _costs(runs)
    )


def _cell(runs: dict[str, Any], score: str, data: str) -> str:
    found = [run["scores"][score] for key, run in runs.items() if key.endswith(f" | {data}")]
    parts = []
    for measure in ("image_auroc", "pixel_auroc"):
        values = [100 * each[measure] for each in found]
        if not values:
            return "not run"
        spread = f" ({min(values):.1f}-{max(values):.1f})" if len(values) > 1 else ""
        parts.append(f"{sum(values) / len(values):.1f}{spread}")
    return " / ".join(parts)


def _beside(sets: list[str]) -> list[list[str]]:
    others = read_record("methods").get("real", {})
    of_uflow = read_record("methods_uflow").get("found", {})
    lines = [
        [method, "", *(_cell_beside(others.get(f"{method} | ResNet18 | {data}")) for data in sets)]
        for method in _BESIDE
    ]
    uflow = [_cell_beside(of_uflow.get(f"U-Flow | {data}")) for data in sets]
    return [*lines, ["U-Flow", "", *uflow]]


def _cell_beside(run: dict[str, Any] | None) -> str:
    if run is None or "refused" in run:
        return "not run"
    return f"{100 * run['image_auroc']:.1f} / {100 * run['pixel_auroc']:.1f}"


def _costs(runs: dict[str, Any]) -> str:
    lines = []
    for name in dict.fromkeys(key.split(" | ")[0] for key in runs):
        of_name = [run for key, run in runs.items() if key.startswith(f"{name} | ")]
        seconds = [run["fit_s"] for run in of_name]
        of_processors = [run["fit_processor_s"] for run in of_name if "fit_processor_s" in run]
        sizes = [each["size_bytes"] for run in of_name for each in run["scores"].values()]
        lines.append([
            name,
            _range(seconds),
            _range(of_processors),
            f"{max(sizes) / 1e6:.1f} MB",
        ])  # fmt: skip
    head = [
        "energy",
        "fit, of a shared machine",
        "of its processors",
        "largest artifact, with its reference images",
    ]
    return table(head, lines)


def _range(seconds: list[float]) -> str:
    return f"{min(seconds):.0f} to {max(seconds):.0f} s" if seconds else "not known"


def section_of_cost(record: dict[str, Any]) -> str:
    """The section on what the gradient costs, of `benchmarks.methods.energy`."""
    lines = []
    for space, run in record["found"].items():
        ms = {name: float(np.median(samples)) for name, samples in run["ms"].items()}
        before, energy, both = ms["values"], ms["energy"], ms["energy and gradient"]
        lines.append([
            f"{space.removeprefix('cost | ')}, {run['size'][1]} px",
            *(f"{each:.2f}" for each in (before, energy, both)),
            f"{both / energy:.2f}",
            f"{(both - before) / (energy - before):.2f}",
        ])  # fmt: skip
    head = [
        *(
            "energy of",
            "what comes before, ms",
            "with the energy, ms",
            "with energy and gradient, ms",
        ),
        *("gradient's graph / energy's", "the same without what comes before"),
    ]
    return (
        "### What an energy's gradient costs\n\n"
        "Exported graphs of one image in ONNX Runtime, all three in turn, medians. The weights are not trained, which makes no difference to the time.\n\n"
        + table(head, lines)
    )


def section_of_choice(record: dict[str, Any]) -> str:
    """The section on `benchmarks.methods.energy_choice`."""
    runs = record["runs"]
    sets = list(dict.fromkeys(key.split(" | ")[1] for key in runs))
    lines = [
        [name, *(_chosen_by(runs.get(f"{name} | {data}")) for data in sets)]
        for name in dict.fromkeys(key.split(" | ")[0] for key in runs)
    ]
    return (
        "### What an energy's defaults are to be chosen by\n\n"
        "Held-out good images against damaged copies of them, short trainings: image AUROC of gradient-max, gradient-norm, gradient-mean and energy / pixel AUROC in percent. No test image was looked at.\n\n"
        + table(["", *sets], lines)
    )


def _chosen_by(run: dict[str, Any] | None) -> str:
    if run is None:
        return "not run"
    scores = ("gradient-max", "gradient-norm", "gradient-mean", "energy")
    images = ", ".join(f"{100 * run['image_auroc'][score]:.0f}" for score in scores)
    return f"{images} / {100 * run['pixel_auroc']:.1f}"
