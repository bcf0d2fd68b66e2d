"""The greedy coreset beside the plain pass, in one run: python -m benchmarks.coreset.measure.

Patch features of 320 magnetic tiles (250,880 x 384, ImageNet ResNet18, layers 2 and 3), projected
to 128 dimensions. The plain pass is numpy, one matrix-vector product per pick, on the same rows;
past ``--plain-picks`` its time is extrapolated (each pick costs the same).
"""

from __future__ import annotations

import argparse
import resource
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.coreset.features import magnetic_tile_features
from benchmarks.harness.clock import seconds
from benchmarks.harness.record import add_draft_option, check_tree, write_record
from edge_ad.features import coreset, distances
from edge_ad.features.projection import drawn, project


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fractions", type=float, nargs="+", default=[0.01, 0.1])
    parser.add_argument("--plain-picks", type=int, default=2509)
    parser.add_argument("--repeats", type=int, default=3)
    add_draft_option(parser)
    options = parser.parse_args()
    commit = check_tree(draft=options.draft)
    features = magnetic_tile_features()
    runs = [measure(features, fraction, options) for fraction in options.fractions]
    write_record(
        "coreset",
        commit,
        {
            "rows": features.shape[0],
            "width": features.shape[1],
            "projection_dim": 128,
            "runs": runs,
        },
    )


def measure(
    features: NDArray[np.float32], fraction: float, options: argparse.Namespace
) -> dict[str, Any]:
    n_select = round(len(features) * fraction)
    rng = np.random.default_rng(0)
    first = int(rng.integers(len(features)))
    rows = project(features, drawn(features.shape[1], features.dtype, 128, rng)).numpy()
    picks = min(n_select, options.plain_picks)
    pairs = []
    for _ in range(options.repeats):  # in turn, so that both see the same machine
        plain_s, plain = seconds(lambda: plain_pass(rows, picks, first))
        ours_s, ours = seconds(lambda: coreset.greedy_coreset(features, n_select))
        pairs.append({"plain_s": plain_s * n_select / picks, "ours_s": ours_s})
    ratios = [pair["plain_s"] / pair["ours_s"] for pair in pairs]
    evaluations = count_evaluations(features, n_select)
    gemm = gemm_flops_per_s(129)
    result = {
        "fraction": fraction,
        "n_select": n_select,
        "plain_picks_measured": picks,
        "pairs": pairs,
        "median_ratio": float(np.median(ratios)),
        "first_picks_in_the_same_order": float((ours[:picks] == plain).mean()),
        "radius_ours": covering_radius(rows, ours[:picks]),
        "radius_plain": covering_radius(rows, plain),
        "distance_evaluations": evaluations,
        "share_of_all_pairs": evaluations / (len(rows) * n_select),
        "gemm_gflop_per_s": gemm / 1e9,
        "seconds_at_gemm_rate": evaluations * 2 * 128 / gemm,
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print({k: v for k, v in result.items() if k != "pairs"}, flush=True)
    return result


def plain_pass(rows: NDArray[np.float32], n_select: int, first: int) -> NDArray[np.int64]:
    """Algorithm 1 in numpy, as fast as one pass per pick goes."""
    sq_norms = np.einsum("nd,nd->n", rows, rows)
    nearest = np.full(len(rows), np.inf, np.float32)
    chosen = np.empty(n_select, np.int64)
    pick = first
    for i in range(n_select):
        chosen[i] = pick
        np.minimum(nearest, sq_norms + sq_norms[pick] - 2 * (rows @ rows[pick]), out=nearest)
        nearest[pick] = -1
        pick = int(nearest.argmax())
    return chosen


def count_evaluations(features: NDArray[np.float32], n_select: int) -> int:
    """How many row-to-centre distances the selection computes."""
    count = 0

    class Counting(distances.Products):
        def to_nearest(self, indices: torch.Tensor, centres: torch.Tensor) -> torch.Tensor:
            nonlocal count
            count += len(indices) * len(centres)
            return super().to_nearest(indices, centres)

        def between(self, indices: torch.Tensor, centres: torch.Tensor) -> torch.Tensor:
            nonlocal count
            count += len(indices) * len(centres)
            return super().between(indices, centres)

    with patch.object(coreset, "Products", Counting):
        coreset.greedy_coreset(features, n_select)
    return count


def covering_radius(rows: NDArray[np.float32], chosen: NDArray[np.int64]) -> float:
    """Largest distance of any row to the chosen ones, recomputed here in float64 at the end."""
    all_rows, centres = torch.from_numpy(rows), torch.from_numpy(rows[chosen])
    nearest = [torch.cdist(part, centres).min(dim=1) for part in torch.split(all_rows, 4096)]
    at = torch.cat([found.indices for found in nearest])
    difference = all_rows.double() - centres.double()[at]
    return float(difference.norm(dim=1).max())


def gemm_flops_per_s(width: int) -> float:
    """This machine's float32 rate on tiles of the size in use."""
    a, b = torch.randn(distances._TILE[0], width), torch.randn(distances._TILE[1], width)
    out = torch.empty(len(a), len(b))
    torch.mm(a, b.T, out=out)
    elapsed, _ = seconds(lambda: [torch.mm(a, b.T, out=out) for _ in range(400)])
    return 400 * 2 * len(a) * len(b) * width / elapsed


if __name__ == "__main__":
    main()
