"""The Gaussians and the left-out distances against plain numpy, which fits every time anew."""

import numpy as np
import pytest

from edge_ad import PadimConfig
from edge_ad.images.good import GoodImages
from edge_ad.methods.padim import gaussians, learning, passes
from edge_ad.methods.padim.gaussians import Gaussians
from edge_ad.methods.padim.learning import learn
from edge_ad.methods.padim.passes import Passes
from edge_ad.methods.padim.reference import PadimReference
from edge_ad_runtime.errors import FitError

GRID = (2, 3)
CONFIG = PadimConfig(weights="untrained", size=(32, 48))
EPSILON = CONFIG.epsilon


class Counted:
    """A `Run` that gives embeddings made up, and counts the images that go through it."""

    def __init__(self, embeddings):
        self.embeddings = embeddings
        self.images = 0

    def __call__(self, images):
        self.images += len(images)
        return {"embedding": self.embeddings[images[:, 0, 0, 0]]}

    def passes(self):
        numbers = np.arange(len(self.embeddings), dtype=np.uint8)
        pixels = np.broadcast_to(numbers[:, None, None, None], (len(numbers), 32, 48, 3))
        images = GoodImages.in_memory(pixels, CONFIG.preprocessing)
        return Passes(self, images, progress=False)


def made_up(images, dimensions, seed=0):
    """Embeddings whose variances are from 0.0001 to 100, far from 0."""
    rng = np.random.default_rng(seed)
    spread = np.logspace(-2, 1, dimensions)
    values = rng.standard_normal((images, *GRID, dimensions)) * spread + 5
    return values.astype(np.float32)


def at(embeddings, position):
    return embeddings.reshape(len(embeddings), -1, embeddings.shape[-1])[:, position].astype(float)


def inverse_covariance(embeddings):
    return np.linalg.inv(np.cov(embeddings.T) + EPSILON * np.eye(embeddings.shape[1]))


CASES = [(30, 20), (12, 20), (7, 20), (8, 60), (3, 20), (9, 1)]  # of V where 3 (N - 1) <= d


@pytest.mark.parametrize(("images", "dimensions"), CASES)
def test_means_and_inverse_covariances_are_those_of_numpy(images, dimensions):
    embeddings = made_up(images, dimensions)
    found, _ = learn(Counted(embeddings).passes(), CONFIG, leave_out=False)
    reference = PadimReference(None, found, CONFIG)
    assert found.are_of_few == (3 * (images - 1) <= dimensions)
    for position in range(6):
        rows = at(embeddings, position)
        np.testing.assert_allclose(found.mean[position], rows.mean(axis=0), rtol=1e-6)
        expected = np.linalg.inv(np.atleast_2d(np.cov(rows.T)) + EPSILON * np.eye(dimensions))
        inverse = reference.inverse_covariance(position)
        # the factors are float32
        np.testing.assert_allclose(inverse, expected, atol=2e-5 * np.abs(expected).max())


@pytest.mark.parametrize(("images", "dimensions"), CASES[:-1])
def test_left_out_distances_are_those_of_fits_without_each_image(images, dimensions):
    embeddings = made_up(images, dimensions)
    _, found = learn(Counted(embeddings).passes(), CONFIG, leave_out=True)
    assert found is not None
    for position in range(6):
        rows = at(embeddings, position)
        for i in range(images):
            rest = np.delete(rows, i, axis=0)
            y = rows[i] - rest.mean(axis=0)
            expected = np.sqrt(y @ inverse_covariance(rest) @ y)
            assert found[i, position] == pytest.approx(expected, rel=1e-5)


def test_images_that_are_all_the_same_leave_distances_of_0():
    embeddings = np.repeat(made_up(1, 20), 5, axis=0)
    found, left_out = learn(Counted(embeddings).passes(), CONFIG, leave_out=True)
    np.testing.assert_allclose(left_out, 0, atol=1e-5)
    reference = PadimReference(None, found, CONFIG)
    np.testing.assert_allclose(reference.inverse_covariance(0), np.eye(20) / EPSILON, atol=1e-4)


@pytest.mark.parametrize(("images", "dimensions"), [(30, 20), (7, 20)])
def test_positions_may_be_learned_in_bands(images, dimensions, monkeypatch):
    embeddings = made_up(images, dimensions)
    expected, distances = learn(Counted(embeddings).passes(), CONFIG, leave_out=True)
    monkeypatch.setattr(learning, "_BAND_BYTES", 4 * 8 * min(images, dimensions) * dimensions)
    found, in_bands = learn(Counted(embeddings).passes(), CONFIG, leave_out=True)
    np.testing.assert_allclose(found.factors, expected.factors, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(in_bands, distances, rtol=1e-5)


def test_embeddings_that_fit_into_memory_are_computed_once_and_others_in_every_pass(monkeypatch):
    embeddings = made_up(30, 20)
    once = Counted(embeddings)
    expected, distances = learn(once.passes(), CONFIG, leave_out=True)
    assert once.images == 1 + 30
    monkeypatch.setattr(passes, "_KEPT_BYTES", 1000)
    twice = Counted(embeddings)
    found, again = learn(twice.passes(), CONFIG, leave_out=True)
    assert twice.images == 1 + 2 * 30
    assert np.array_equal(found.factors, expected.factors)
    assert np.array_equal(again, distances)


def test_half_precision_moves_distances_by_less_than_a_thousandth():
    embeddings = made_up(40, 20)
    whole, _ = learn(Counted(embeddings).passes(), CONFIG, leave_out=False)
    half_config = PadimConfig(weights="untrained", factor_precision="float16")
    half, _ = learn(Counted(embeddings).passes(), half_config, leave_out=False)
    assert half.factors.dtype == np.float16
    other = made_up(1, 20, seed=1)[0]
    expected = PadimReference(None, whole, CONFIG).trace_embedding(other, (8, 12))["anomaly"]
    found = PadimReference(None, half, CONFIG).trace_embedding(other, (8, 12))["anomaly"]
    assert 0 < np.abs(found - expected).max() < 1e-3 * expected.max()


def test_factors_of_few_images_stay_in_float32():
    """What they leave of an embedding is a small difference, which half precision would spoil."""
    config = PadimConfig(weights="untrained", factor_precision="float16")
    found, _ = learn(Counted(made_up(5, 60)).passes(), config, leave_out=False)
    assert found.factors.dtype == np.float32


def test_one_image_is_refused_and_the_least_number_named():
    with pytest.raises(FitError, match="1 good image .* at least 2"):
        learn(Counted(made_up(1, 20)).passes(), CONFIG, leave_out=False)


@pytest.mark.parametrize("images", [5, 30])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_embeddings_that_are_not_finite_are_refused(images, value):
    embeddings = made_up(images, 20)
    embeddings[3, 1, 2, 7] = value
    with pytest.raises(FitError, match="NaN or infinite"):
        learn(Counted(embeddings).passes(), CONFIG, leave_out=True)


def test_factors_that_half_precision_does_not_hold_are_refused():
    config = PadimConfig(weights="untrained", factor_precision="float16", regularisation=1e-12)
    embeddings = np.repeat(made_up(3, 4), 2, axis=0)
    with pytest.raises(FitError, match="not finite in float16; give a larger --regularisation"):
        learn(Counted(embeddings).passes(), config, leave_out=False)


def test_covariances_without_an_inverse_are_refused():
    config = PadimConfig(weights="untrained", regularisation=1e-300)
    embeddings = np.repeat(made_up(3, 4), 2, axis=0)
    with pytest.raises(FitError, match="cannot be inverted; give a larger --regularisation"):
        learn(Counted(embeddings).passes(), config, leave_out=False)


def test_more_memory_than_there_is_is_refused_and_the_need_is_said(monkeypatch):
    monkeypatch.setattr("os.sysconf", lambda name: 1000)
    with pytest.raises(FitError, match="6 positions .* 20 x 20 .* need 1 GB.* --dimensions"):
        learn(Counted(made_up(30, 20)).passes(), CONFIG, leave_out=False)


def gaussians_with(**changed):
    arrays = {
        "mean": np.zeros((6, 4), np.float32),
        "factors": np.zeros((6, 4, 4), np.float32),
        "grid": np.array(GRID),
    }
    return Gaussians(**{**arrays, **changed})


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"mean": np.zeros((5, 4), np.float32)}, "shape"),
        ({"factors": np.zeros((6, 4, 5), np.float32)}, "shape"),
        ({"factors": np.zeros((6, 5, 4), np.float32)}, "shape"),
        ({"factors": np.zeros((6, 4), np.float32)}, "shape"),
        ({"grid": np.array([3, 3])}, "shape"),
        ({"mean": np.full((6, 4), np.nan, np.float32)}, "means are not finite"),
        ({"factors": np.full((6, 4, 4), np.inf, np.float32)}, "factors are not finite"),
    ],
)
def test_arrays_that_are_no_gaussians_are_refused(changed, message):
    assert gaussians_with().are_of_few is False
    with pytest.raises(FitError, match=message):
        gaussians_with(**changed)


def test_v_is_kept_where_it_is_smaller():
    assert gaussians.rank_kept(2, 3) == 1
    assert gaussians.rank_kept(34, 100) == 33
    assert gaussians.rank_kept(35, 100) == 100
