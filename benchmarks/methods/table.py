"""The section of benchmarks/README.md on `benchmarks.methods.measure`."""

from __future__ import annotations

from statistics import median
from typing import Any

from benchmarks.harness.markdown import refused_row, table

_MEASURES = ("image_auroc", "pixel_auroc", "pro")


def section(record: dict[str, Any]) -> str:
    parts = (
        ("real", _real),
        ("moved", _moved),
        ("time", _time),
        ("generated", _generated),
    )
    return "\n\n".join(part(record[name]) for name, part in parts if name in record)


def _real(found: dict[str, Any]) -> str:
    sets = list(dict.fromkeys(key.split(" | ")[2] for key in found))
    counts = ", ".join(
        f"{name} {run['images_tested']}"
        for name in sets
        if (run := next(v for k, v in found.items() if k.endswith(name) and "refused" not in v))
    )
    return (
        "## Methods\n\n"
        "Each with its default settings and ImageNet's weights, the whole image stretched to 224 px, exported and evaluated as a user would: image AUROC / pixel AUROC / PRO in percent, "
        f"and in brackets the size of the artifact. Images tested: {counts}.\n\n"
        + _quality(found, sets)
    )


def _moved(found: dict[str, Any]) -> str:
    sets = list(dict.fromkeys(key.split(" | ")[2] for key in found))
    return (
        "### On parts that have moved\n\n"
        "The same images, good and defective ones, each shifted by up to a tenth of its sides and turned by up to 10 degrees, by lot.\n\n"
        + _quality(found, sets)
    )


def _quality(found: dict[str, Any], sets: list[str]) -> str:
    names = list(dict.fromkeys(key.rsplit(" | ", 1)[0] for key in found))
    lines = [
        [name.replace(" | ", ", "), *(_cell(found.get(f"{name} | {data}")) for data in sets)]
        for name in names
    ]
    return table(["method, network", *sets], lines)


def _cell(run: dict[str, Any] | None) -> str:
    if run is None:
        return "not run"
    if "refused" in run:
        return f"cannot run: {run['refused']}"
    figures = " / ".join(f"{100 * run[m]:.1f}" for m in _MEASURES)
    return f"{figures} ({run['size_bytes'] / 1e6:.0f} MB)"


def _time(found: dict[str, Any]) -> str:
    lines = []
    for network, methods in found.items():
        for method, run in methods.items():
            stages = {stage: median(times) for stage, times in run["ms"].items()}
            total = stages.pop("total")
            parts = ", ".join(f"{stage} {ms:.1f}" for stage, ms in stages.items())
            fit_s = f"{run['fit_s']:.0f} s"
            lines.append([f"{method}, {network}", fit_s, f"{total:.1f} ms", parts])
    return (
        "### Time of the fit and of one image\n\n"
        "hazelnut_reduced. The fit is of its 50 good images; one image is from the file to score and map, all methods in turn on the same ones: medians, the stages in milliseconds.\n\n"
        + table(["method, network", "fit", "one image", "stages"], lines)
    )


def _generated(found: dict[str, Any]) -> str:
    kinds = [kind for kind in next(iter(found.values())) if kind != "mean"]
    lines = [
        [name.replace(" | ", ", "), f"{run['mean']:.3f}", *(f"{run[kind]:.2f}" for kind in kinds)]
        for name, run in found.items()
    ]
    return (
        "### On generated parts, image AUROC\n\n"
        "Ten kinds of drawn parts, 40 good images fitted, 16 good and 24 defective ones tested.\n\n"
        + table(["method, network", "mean", *kinds], lines)
    )


def section_beside(record: dict[str, Any]) -> str:
    """The section on `benchmarks.methods.beside`."""
    return "\n\n".join(
        part(record[name])
        for name, part in (("padim", _padim), ("spade", _spade))
        if name in record
    )


def _padim(found: dict[str, Any]) -> str:
    by_name = {way["name"]: way for way in found["ways"]}
    lines = []
    for name, way in by_name.items():
        if "refused" in way:
            lines.append(refused_row(name, way["refused"], 5))
            continue
        ours = by_name[name.replace("anomalib", "edge_ad")]
        lines.append([
            name,
            f"{median(way['ms']):.1f} ms",
            f"{median(way['ms']) / median(ours['ms']):.1f}",
            f"{median(way['cold_start_ms']) / 1e3:.2f} s",
            f"{way['peak_memory_bytes'] / 1e6:,.0f} MB",
        ])  # fmt: skip
    head = ["", "per image", "times ours", "cold start", "peak memory"]
    return (
        "## PaDiM beside anomalib's\n\n"
        f"{found['images']} magnetic tiles of 224 x 224, 100 channels of three layers, the same weights, {len(found['ways'][0]['ms'])} test images scored by all in turn with a pause of 50 ms before each, in float32 on all cores: "
        "from the preprocessed image to score and map. anomalib's is its torch model.\n\n"
        + table(head, lines)
    )


def _spade(found: list[dict[str, Any]]) -> str:
    lines = [
        [
            str(run["neighbours"]),
            f"{median(run['ms']['ours']):.0f} ms",
            f"{median(run['ms']['plain']):.0f} ms",
            f"{median(run['ms']['plain']) / median(run['ms']['ours']):.1f}",
            f"{run['largest_map_difference']:.1e}",
        ]
        for run in found
    ]
    head = ["K", "ours", "plain", "times ours", "largest difference of maps"]
    stored = f"{found[0]['gallery_images']} good images take {found[0]['store_bytes'] / 1e6:.0f} MB"
    return (
        "## SPADE beside plain products\n\n"
        f"ResNet18 at 224 px, from the network's outputs to score and map, the same features for both in turn; {stored}. *Plain*: one float64 product of numpy's for each layer and image of the gallery, "
        "as public implementations do it.\n\n" + table(head, lines)
    )
