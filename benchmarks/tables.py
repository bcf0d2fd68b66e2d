"""Write benchmarks/README.md from the records in results/: python -m benchmarks.tables."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.backbone_tables import backbones_section
from benchmarks.int8_tables import int8_section
from benchmarks.markdown import refused_row, table
from benchmarks.peers_tables import peers
from benchmarks.record import RESULTS
from benchmarks.robustness_tables import robustness_section
from benchmarks.search_tables import search_section, tried_section

_INTRO = """# Benchmarks

Each figure below is derived from a raw record in [results/](results/) (machine, commit, versions, every sample), by
`python -m benchmarks.tables`. Ratios are from one run on one machine; absolute times are from shared machines and noisy.
To repeat: `EDGE_AD_DATA=FOLDER make bench`, FOLDER holding `data/` (magnetic-tile, mvtec-mini) and
`weights/resnet18_imagenet_layers1-3.safetensors`. The PatchCore paper's own tables and figures are on [a page of their own](PAPER.md).
"""


def main() -> None:
    tables = {
        "coreset": _coreset,
        "scale": _scale,
        "search": search_section,
        "tried": tried_section,
        "magnetic_tile": _magnetic_tile,
        "mvtec_mini": _mvtec_mini,
        "backbones": backbones_section,
        "engines": _engines,
        "int8": int8_section,
        "peers": peers,
        "robustness": robustness_section,
    }
    parts = [_INTRO]
    for name, section in tables.items():
        path = RESULTS / f"{name}.json"
        if path.exists():
            record = json.loads(path.read_text(encoding="utf-8"))
            machine = record["machine"]
            where = f"{machine['cpu']}, {machine['cores']} cores; [record](results/{name}.json)"
            parts.append(f"{section(record)}\n\n{where}.\n")
    (Path(__file__).parent / "README.md").write_text("\n".join(parts), encoding="utf-8")


def _coreset(record: dict[str, Any]) -> str:
    rows = [
        [
            f"{run['fraction']:.0%} ({run['n_select']:,})",
            f"{_median(run, 'plain_s'):.1f} s",
            f"{_median(run, 'ours_s'):.2f} s",
            f"{run['median_ratio']:.1f}",
            f"{run['share_of_all_pairs']:.0%}",
            f"{run['seconds_at_gemm_rate'] / _median(run, 'ours_s'):.0%}",
            f"{abs(run['radius_ours'] / run['radius_plain'] - 1):.1e}",
        ]
        for run in record["runs"]
    ]
    return (
        "## Greedy coreset\n\n"
        f"{record['rows']:,} patch features of real magnetic tiles x {record['width']}, projected to "
        f"{record['projection_dim']}, against the plain pass in numpy on the same projected rows. Ours "
        "includes the projection. The plain pass was run for the first "
        f"{record['runs'][-1]['plain_picks_measured']:,} picks and its time scaled up; radii are compared "
        "after as many.\n\n"
        + table(
            [
                "rows chosen",
                "plain pass",
                "edge_ad",
                "ratio",
                "of all distances computed",
                "of the time at GEMM rate",
                "radius differs by",
            ],
            rows,
        )  # fmt: skip
    )


def _scale(record: dict[str, Any]) -> str:
    rows = [
        [
            f"{run['rows']:,}",
            f"{run['features_gb']:.1f} GB, {'scratch file' if run['in_a_scratch_file'] else 'in memory'}",
            f"{run['bank_rows']:,}",
            f"{run['bank_s']:.0f} s",
            f"{run['peak_anonymous_gb']:.2f} GB",
            f"{run['model_gb']:.2f} GB",
        ]
        for run in record["runs"]
    ]
    limit = record["memory_limit_bytes"]
    under = (
        f" Run under a hard limit of {limit / 1e9:.0f} GB, page cache included." if limit else ""
    )
    return (
        "## Memory at scale\n\n"
        f"Real patch features repeated with noise, {record['width']:,} wide; a bank of 1% and the neighbours of "
        "equation 7. The peak is of anonymous memory, which cannot be written back to a file (features that fit in 2 GB "
        f"stay in memory and count).{under} The model: 4 x 129 bytes for each row and each chosen one, 16 bytes a row, or "
        "afterwards twice the bank; and 0.6 GB.\n\n"
        + table(["patches", "features", "bank", "time", "peak", "model, without features"], rows)
    )


def _magnetic_tile(record: dict[str, Any]) -> str:
    rows = []
    for run in record["runs"]:
        for asked, found in run["exported"].items():
            rows.append([
                f"{run['coreset_fraction']:.0%} ({run['bank_rows']:,})",
                found["search"] if asked == "exact" else f"auto: {found['search']}",
                f"{run['reference_image_auroc']:.4f}",
                f"{found['image_auroc']:.4f}",
                f"{found['largest_relative_score_difference']:.1e}",
                f"{found['pixel_auroc']:.4f}",
                f"{found['pro']:.4f}",
                f"{found['median_ms']['network']:.0f} / {found['median_ms']['search']:.0f} / "
                f"{found['median_ms']['total']:.0f} ms",
            ])  # fmt: skip
    without = ", ".join(
        f"{run['reference_image_auroc_without_equation_7']:.4f} at {run['coreset_fraction']:.0%}"
        for run in record["runs"]
    )
    paper = record["paper"]
    return (
        "## Magnetic tile\n\n"
        "The paper's protocol: 20% of the good images (190) held out for the test with all 392 "
        f"defective ones, {record['fitted']} good ones fitted. ImageNet ResNet18, layers 2 and 3, "
        "stretched to 256 and cut to 224, equation 7 with b = 9; 38 of the fitted images set the "
        f"threshold. The paper: {paper['image_auroc']} image AUROC with {paper['backbone']} at "
        f"{paper['coreset_fraction']:.0%}. Without equation 7 the reference gives {without}.\n\n"
        + table(
            [
                "bank",
                "search",
                "image AUROC, reference",
                "exported",
                "largest score difference",
                "pixel AUROC",
                "PRO",
                "network / search / total",
            ],
            rows,
        )  # fmt: skip
    )


def _mvtec_mini(record: dict[str, Any]) -> str:
    rows = [
        [
            category["category"],
            f"{category['image_auroc']:.3f}",
            f"{category['pixel_auroc']:.3f}",
            f"{category['pro']:.3f}",
            f"{category['detected']} of {category['detected'] + category['missed']}",
            f"{category['false_rejects']} of {category['false_rejects'] + category['true_goods']}",
        ]
        for category in record["categories"]
    ]
    return (
        "## MVTec AD, two categories, reduced\n\n"
        "50 good images fitted, 2 good and 8 defective ones tested: a check that the path works, not "
        "a ranking. ImageNet ResNet18, 10% coreset, 256 cut to 224.\n\n"
        + table(
            ["category", "image AUROC", "pixel AUROC", "PRO", "defects found", "good rejected"],
            rows,
        )
    )


def _engines(record: dict[str, Any]) -> str:
    runs = record["runs"]
    plain = runs["onnxruntime fp32"]
    network = median(plain["samples_ms"]["network"])
    head = [
        "",
        "network",
        "times as fast as the float32 network",
        "all else (search)",
        "total",
        "image AUROC (against float32)",
        "loss of scores",
        "cold start",
        "peak memory",
    ]
    lines = []
    for name, run in runs.items():
        if "refused" in run:
            lines.append(refused_row(name, run["refused"], len(head)))
            continue
        samples = run["samples_ms"]
        pairs = zip(samples["total"], samples["network"], strict=True)
        rest = median(total - own for total, own in pairs)
        loss = run["loss"]
        lines.append([
            name,
            f"{median(samples['network']):.1f}",
            f"{network / median(samples['network']):.1f}",
            f"{rest:.1f} ({median(samples['search']):.1f})",
            f"{median(samples['total']):.1f}",
            f"{run['image_auroc']:.4f} ({run['image_auroc'] - plain['image_auroc']:+.4f})",
            f"{loss['score_mean']:.1%} / {loss['score_worst']:.1%}" if loss else "",
            f"{run['cold_start_ms'] / 1e3:.2f} s",
            f"{run['peak_memory_bytes'] / 1e6:.0f} MB",
        ])  # fmt: skip
    return (
        "## Engines and precisions\n\n"
        f"Magnetic tile at 224 px, ImageNet ResNet18, a bank of {record['bank_rows']:,} patches (10% of 320 images), certified score and "
        f"map; {len(plain['samples_ms']['total'])} images in alternation, medians in ms; image AUROC on {record['images']} test images. The loss "
        "of scores is what the export measured on held-out good images and damaged copies, mean and worst. Cold start: from the start of "
        "a process to its first score.\n\n" + table(head, lines)
    )


def _median(run: dict[str, Any], key: str) -> float:
    values = sorted(pair[key] for pair in run["pairs"])
    return float(values[len(values) // 2])


if __name__ == "__main__":
    main()
