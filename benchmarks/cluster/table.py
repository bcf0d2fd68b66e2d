"""The section of benchmarks/README.md on `benchmarks.cluster`."""

from __future__ import annotations

from typing import Any

from benchmarks.harness.markdown import table


def section(record: dict[str, Any]) -> str:
    found = record["found"]
    runs = [value for key, value in found.items() if key.startswith("coreset ")]
    rows = [
        [
            f"{run['rows']:,}",
            f"{run['n_select']:,}",
            f"{run['rounds']}",
            f"{(run['received_bytes'] + run['sent_bytes']) / 1e6:,.0f} MB",
            f"{run['one_machine_s']:.1f} s",
            f"{run['two_workers_s']:.1f} s, {run['two_workers_s'] / run['one_machine_s']:.1f} times",
            f"{run['killed_s'] - run['two_workers_s']:+.1f} s, at round {run['killed_at_round']}",
            f"{run['radius_differs_by']:.0e}, {run['killed_radius_differs_by']:.0e}",
            _memory(run.get("driver_peak_anonymous_gb")),
        ]
        for run in runs
    ]
    loads = [run["load_average"] for run in found.values()]
    text = (
        "## A cluster\n\n"
        "Real patch features of magnetic tiles, past the first 250,880 repeated with noise, 384 wide, in files; greedy picks "
        "after a projection to 128. One machine (`greedy_coreset`) and two workers on Ray share the same two cores, one thread a "
        "worker, so the time of the workers is the overhead and no gain. It includes starting them and reading their files. Then "
        "one of the workers is killed at a random round. The driver's peak is the anonymous memory of the process that picks, torch and Ray included. The "
        f"load average was {min(loads):.1f} to {max(loads):.1f}, most of it the benchmark's own.\n\n"
        + table(
            [
                "patches",
                "picks",
                "rounds",
                "moved",
                "one machine",
                "two workers",
                "a worker killed",
                "radius differs by: two workers, one killed",
                "driver's peak",
            ],
            rows,
        )
    )
    for run in (value for key, value in found.items() if key.startswith("features ")):
        text += (
            f"\n\nFeatures of {run['images']} images into files, with one thread a worker: two workers are "
            f"{run['median_ratio']:.2f} times as fast as one (median of {len(run['one_worker_s'])} turns)."
        )
    return text


def _memory(gigabytes: float | None) -> str:
    """Megabytes. An early run did not measure them."""
    return "–" if gigabytes is None else f"{gigabytes * 1e3:,.0f} MB"
