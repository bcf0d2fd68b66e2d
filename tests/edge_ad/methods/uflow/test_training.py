from dataclasses import replace

import numpy as np
import pytest
import torch

from edge_ad.images.good import GoodImages, list_images
from edge_ad.methods.checkpoint import identity_of
from edge_ad.methods.uflow.flow import Flow
from edge_ad.methods.uflow.method import NOT_OF_TRAINING
from edge_ad.methods.uflow.settings import UFlowConfig
from edge_ad.methods.uflow.training import (
    latent_variances,
    mean_nll,
    split_images,
    train_flow,
)
from edge_ad_runtime.errors import FitError

SETTINGS = UFlowConfig(
    weights="untrained", epochs=4, batch_size=3, learning_rate=5e-3, validation_fraction=0.25
)


@pytest.fixture(scope="module")
def features():
    """Smooth ones: each channel is a mixture of a few waves."""
    rng = np.random.default_rng(0)
    found = []
    for channels, side in ((8, 8), (12, 4)):
        waves = rng.normal(size=(12, 3, side, side)).astype(np.float32)
        mixture = rng.normal(size=(channels, 3)).astype(np.float32)
        found.append(np.einsum("cw,nwij->ncij", mixture, waves))
    return found


def trained(features, settings=SETTINGS, identity="one", flow=None):
    flow = flow or Flow((8, 12), steps=2, seed=0)
    train_flow(flow, features, settings, identity, progress=False)
    return flow


def states_equal(one, other):
    pairs = zip(one.state_dict().items(), other.state_dict().items(), strict=True)
    return all(a == b and torch.equal(x, y) for (a, x), (b, y) in pairs)


def test_training_makes_watched_images_more_likely(features):
    watched = split_images(12, SETTINGS).watched
    before = mean_nll(Flow((8, 12), steps=2, seed=0), features, watched, 4)
    assert mean_nll(trained(features), features, watched, 4) < before - 0.1


def test_no_image_is_for_two_things():
    split = split_images(40, SETTINGS)
    assert sorted(split.trained + split.watched + split.checked) == list(range(40))
    assert (len(split.trained), len(split.watched), len(split.checked)) == (30, 5, 5)
    assert split_images(40, SETTINGS) == split
    assert split_images(40, replace(SETTINGS, seed=1)) != split
    least = split_images(3, SETTINGS)
    assert len(least.trained) == len(least.watched) == len(least.checked) == 1
    with pytest.raises(FitError, match="2 images to learn from; a flow needs 3"):
        split_images(2, SETTINGS)


def test_images_that_are_checked_have_no_part_in_the_flow(features):
    others = [array.copy() for array in features]
    for array in others:
        array[split_images(12, SETTINGS).checked] += 7
    assert states_equal(trained(features), trained(others))


def test_a_seed_gives_the_same_flow_again(features):
    assert states_equal(trained(features), trained(features))


def test_a_training_that_was_interrupted_ends_as_one_that_was_not(features, tmp_path):
    file = str(tmp_path / "training.safetensors")
    trained(features, replace(SETTINGS, checkpoint=file, epochs=2))
    resumed = trained(features, replace(SETTINGS, checkpoint=file))
    assert states_equal(resumed, trained(features))
    again = trained(features, replace(SETTINGS, checkpoint=file))  # nothing is left to do
    assert states_equal(again, resumed)


def test_a_checkpoint_of_another_training_or_of_nothing_is_refused(features, tmp_path):
    file = tmp_path / "training.safetensors"
    settings = replace(SETTINGS, checkpoint=str(file), epochs=1)
    trained(features, settings)
    with pytest.raises(FitError, match="a checkpoint of other images or settings"):
        trained(features, settings, identity="two")
    file.write_bytes(b"no checkpoint")
    with pytest.raises(FitError, match="not a checkpoint of a training"):
        trained(features, settings)
    with pytest.raises(FitError, match="cannot be written"):
        trained(features, replace(settings, checkpoint=str(tmp_path / "no folder/file")))


def test_the_flow_of_the_best_epoch_is_kept_and_the_training_ends_in_time(features, tmp_path):
    """Watched images that are nothing like the others get less likely with every epoch."""
    watched = split_images(12, SETTINGS).watched
    strange = [array.copy() for array in features]
    for array in strange:
        array[watched] = 30 * np.random.default_rng(1).normal(size=array[watched].shape)
    settings = replace(SETTINGS, learning_rate=0.02, epochs=30, patience=2)
    likelihoods = []
    for epochs in range(1, 8):
        flow = trained(strange, replace(settings, epochs=epochs, patience=30))
        likelihoods.append(mean_nll(flow, strange, watched, 4))
    assert likelihoods == sorted(likelihoods, reverse=True)  # never worse, as the best is kept
    kept = mean_nll(trained(strange, settings), strange, watched, 4)
    assert kept >= min(likelihoods)


def test_a_loss_that_is_not_finite_names_the_learning_rate(features):
    huge = [1e25 * array for array in features]
    with pytest.raises(FitError, match=r"diverges at learning_rate 0.005.*--learning-rate"):
        trained(huge)


def test_variances_are_of_each_scale_and_channel(features):
    flow = Flow((8, 12), steps=2, seed=0)
    rows = [0, 3, 5]
    with torch.no_grad():
        latents, _ = flow([torch.from_numpy(array[rows]) for array in features])
    for found, z in zip(latent_variances(flow, features, rows), latents, strict=True):
        assert found.shape == (z.shape[1], 1, 1)
        torch.testing.assert_close(found.flatten().float(), z.square().mean(dim=(0, 2, 3)))


def test_one_training_can_be_made_longer_and_tested_in_several_ways(parts):
    def identity(images, settings):
        return identity_of(images, settings, NOT_OF_TRAINING)

    images = GoodImages(list_images(parts / "train/good"), SETTINGS.preprocessing)
    same = identity(images, SETTINGS)
    other_test = replace(SETTINGS, counting="paper", false_alarms=0.1, checkpoint="x", epochs=9)
    assert identity(images, other_test) == same
    assert identity(images, replace(SETTINGS, calibration="split", false_reject_rate=0.3)) == same
    assert identity(images, replace(SETTINGS, latent_limit=2.0, device="cpu")) == same
    assert identity(images, replace(SETTINGS, learning_rate=1e-4)) != same
    assert identity(images.only(range(3)), SETTINGS) != same


def test_a_flow_that_watched_images_have_no_likelihood_by_is_never_kept(features):
    broken = [array.copy() for array in features]
    for array in broken:
        array[split_images(12, SETTINGS).watched] = 1e25
    with pytest.raises(FitError, match="diverges at learning_rate 0.005"):
        trained(broken)
