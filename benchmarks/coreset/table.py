"""The section of benchmarks/README.md on `benchmarks.coreset`."""

from __future__ import annotations

from typing import Any

from benchmarks.harness.markdown import table


def section(record: dict[str, Any]) -> str:
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


def _median(run: dict[str, Any], key: str) -> float:
    values = sorted(pair[key] for pair in run["pairs"])
    return float(values[len(values) // 2])
