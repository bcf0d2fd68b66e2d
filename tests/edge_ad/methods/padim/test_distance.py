"""The tail of the graph against the reference."""

import numpy as np
import pytest
import torch

from edge_ad import PadimConfig
from edge_ad.methods.padim.distance import SymmetricDistance, TriangleDistance, distance_of
from edge_ad.methods.padim.gaussians import Gaussians
from edge_ad.methods.padim.reference import PadimReference

GRID = (3, 5)
CONFIG = PadimConfig(weights="untrained")


def triangles(dimensions, dtype=np.float32):
    rng = np.random.default_rng(0)
    factors = np.tril(rng.standard_normal((15, dimensions, dimensions))).astype(dtype)
    mean = rng.standard_normal((15, dimensions)).astype(np.float32)
    return Gaussians(mean=mean, factors=factors, grid=np.array(GRID))


def of_few(variance):
    """V of 5 directions in 30 that vary by so much."""
    rng = np.random.default_rng(0)
    directions = np.linalg.qr(rng.standard_normal((15, 30, 5)))[0].transpose(0, 2, 1)
    weight = np.sqrt(1 - np.sqrt(CONFIG.epsilon / (variance + CONFIG.epsilon)))
    mean = rng.standard_normal((15, 30)).astype(np.float32)
    found = Gaussians(
        mean=mean, factors=(weight * directions).astype(np.float32), grid=np.array(GRID)
    )
    return found, directions


def check(gaussians, embeddings, tolerance=1e-6):
    tail = distance_of(gaussians, CONFIG.epsilon)
    found = tail(torch.from_numpy(embeddings))["anomaly"].numpy()
    reference = PadimReference(None, gaussians, CONFIG)
    assert found.shape == (len(embeddings), *GRID)
    for distances, embedding in zip(found, embeddings, strict=True):
        expected = reference.trace_embedding(embedding, (12, 20))["anomaly"]
        np.testing.assert_allclose(distances, expected, rtol=tolerance, atol=1e-6)


@pytest.mark.parametrize("dimensions", [1, 7, 48, 100, 130, 200])
def test_triangles_of_any_size_give_the_references_distances(dimensions):
    gaussians = triangles(dimensions)
    assert isinstance(distance_of(gaussians, 1.0), TriangleDistance)
    check(gaussians, np.random.default_rng(1).standard_normal((2, *GRID, dimensions), np.float32))


def test_triangles_in_half_precision_are_multiplied_in_float32():
    embeddings = np.random.default_rng(1).standard_normal((2, *GRID, 60), np.float32)
    check(triangles(60, np.float16), embeddings)


def test_the_zeros_of_triangles_are_not_kept():
    tail = distance_of(triangles(200), CONFIG.epsilon)
    assert sum(block.numel() for block in tail.parameters()) < 0.65 * 15 * 200**2


@pytest.mark.parametrize("variance", [1.0, 1e4])
def test_factors_of_few_images_do_not_cancel(variance):
    """Embeddings of the very images, whose distances are small though they are far from the mean.

    The difference of two squares, which reads V once, would be off by a tenth.
    """
    gaussians, directions = of_few(variance)
    assert isinstance(distance_of(gaussians, 1.0), SymmetricDistance)
    along = np.random.default_rng(1).standard_normal((2, 15, 1, 5)) * np.sqrt(variance)
    embeddings = gaussians.mean + (along @ directions)[:, :, 0]
    embeddings = embeddings.reshape(2, *GRID, 30).astype(np.float32)
    check(gaussians, embeddings, tolerance=1e-3 if variance > 1 else 1e-5)


def test_an_embedding_that_is_the_mean_is_at_distance_0():
    gaussians = triangles(20)
    tail = distance_of(gaussians, CONFIG.epsilon)
    mean = torch.from_numpy(gaussians.mean.reshape(1, *GRID, 20))
    assert torch.equal(tail(mean)["anomaly"], torch.zeros(1, *GRID))
