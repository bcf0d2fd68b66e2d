import numpy as np
import pytest
import torch
from torch.nn import functional

from edge_ad.features.aggregation import BinAggregation, MeanAggregation, adaptive_bins

RNG = torch.Generator().manual_seed(0)


def maps(*channels):
    """Maps of a non-square image: every layer half the size of the one before."""
    sizes = [(12, 20), (6, 10), (3, 5)]
    return [torch.randn(2, c, *s, generator=RNG) for c, s in zip(channels, sizes, strict=False)]


def step_by_step(layers, p, s, dim):
    """patchcore-inspection's way: unfold, resize the unfolded, flatten, pool, stack, pool."""
    pooled: list[torch.Tensor] = []
    grid: tuple[int, int] | None = None
    for layer in layers:
        n, c, h, w = layer.shape
        rows, cols = (h - 1) // s + 1, (w - 1) // s + 1
        patches = functional.unfold(layer, p, padding=p // 2, stride=s).view(
            n, c * p * p, rows, cols
        )
        grid = grid or (rows, cols)
        patches = functional.interpolate(patches, size=grid, mode="bilinear", align_corners=False)
        flat = patches.permute(0, 2, 3, 1).reshape(-1, 1, c * p * p)
        pooled.append(functional.adaptive_avg_pool1d(flat, dim)[:, 0])
    stacked = torch.stack(pooled, dim=1).reshape(len(pooled[0]), 1, -1)
    assert grid is not None
    flat = functional.adaptive_avg_pool1d(stacked, dim)[:, 0]
    return flat.view(len(layers[0]), grid[0], grid[1], dim)


@pytest.mark.parametrize(("length", "count"), [(9, 4), (4, 9), (7, 7), (1152, 1024), (5, 1)])
def test_bins_are_torchs_adaptive_average_pooling(length, count):
    values = torch.randn(3, 1, length, generator=RNG)
    expected = functional.adaptive_avg_pool1d(values, count)[:, 0]
    assert np.allclose(values[:, 0].numpy() @ adaptive_bins(length, count).T, expected, atol=1e-5)


@pytest.mark.parametrize("channels", [(8,), (8, 16), (4, 8, 12)])
@pytest.mark.parametrize(("p", "s"), [(3, 1), (5, 1), (3, 2), (1, 1), (13, 1)])
@pytest.mark.parametrize("dim", [16, 50])
def test_one_convolution_per_layer_is_the_whole_of_inspections_aggregation(channels, p, s, dim):
    layers = maps(*channels)
    found = BinAggregation(channels, p, s, dim)(layers).permute(0, 2, 3, 1)
    assert torch.allclose(found, step_by_step(layers, p, s, dim), atol=1e-5)


@pytest.mark.parametrize(("p", "s", "grid"), [(3, 1, (12, 20)), (3, 2, (6, 10)), (13, 3, (4, 7))])
def test_a_stride_thins_the_grid_out(p, s, grid):
    assert MeanAggregation(p, s)(maps(8, 16)).shape == (2, 24, *grid)
