from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from edge_ad import EnergyConfig
from edge_ad.images.good import GoodImages, list_images
from edge_ad.methods.checkpoint import identity_of, save_progress
from edge_ad.methods.energy.contrast import Contrast
from edge_ad.methods.energy.method import METHOD, NOT_OF_TRAINING
from edge_ad.methods.energy.network import build_network, inside
from edge_ad.methods.energy.training import (
    learn_normalisation,
    split_images,
    train_energy,
    values_of_images,
)
from edge_ad_runtime.errors import EdgeADWarning, FitError

SETTINGS = EnergyConfig(space="pixels", size=(32, 32), width=4, batch_size=3, epochs=2)
BY = {"dsm": SETTINGS, "cd": replace(SETTINGS, trainer="cd", langevin_steps=2)}


@pytest.fixture(autouse=True)
def short_epochs(monkeypatch):
    monkeypatch.setattr("edge_ad.methods.energy.training._STEPS", 6)


@pytest.fixture(scope="module")
def values():
    """Of striped images, as the network continues them."""
    rng = np.random.default_rng(0)
    waves = 128 + 60 * np.sin(np.arange(32) * 0.8 + rng.uniform(0, 6, (10, 1)))
    images = np.repeat(waves[:, None, :, None], 32, axis=1) + rng.normal(0, 8, (10, 32, 32, 3))
    pixels = np.clip(images, 0, 255).astype(np.uint8)
    good = GoodImages.in_memory(pixels, SETTINGS.preprocessing)
    return values_of_images(build_network(SETTINGS), good, progress=False)


def trained(values, settings=SETTINGS, identity="one"):
    network = build_network(settings)
    learn_normalisation(network, values, split_images(len(values), settings).trained)
    train_energy(network, values, settings, identity, progress=False)
    return network


def states_equal(one, other):
    pairs = zip(one.state_dict().items(), other.state_dict().items(), strict=True)
    return all(a == b and torch.equal(x, y) for (a, x), (b, y) in pairs)


@torch.no_grad()
def denoising_loss(network, values, row, s=0.6):
    """How far the gradient is from noise, relative to the noise."""
    x = (torch.from_numpy(values[row])[None] - network.level) / network.spread
    noise = s * torch.randn(x.shape, generator=torch.Generator().manual_seed(7))
    _, gradient = network.energy.energy_and_gradient(x + noise)
    off = inside(gradient - noise, network.margin)
    return float(off.square().mean()) / s**2


def test_score_matching_tells_noise_from_images_that_were_not_trained_on(values):
    (row,) = split_images(len(values), SETTINGS).watched
    assert denoising_loss(trained(values, replace(SETTINGS, epochs=12)), values, row) < 0.6
    assert denoising_loss(build_network(SETTINGS), values, row) > 0.9


def test_sampling_gives_damaged_images_more_energy(values):
    network = trained(values, replace(BY["cd"], epochs=8))
    good = (torch.from_numpy(values) - network.level) / network.spread
    damaged = good.clone()
    damaged[:, :, 20:40, 20:40] = torch.randn(
        damaged[:, :, 20:40, 20:40].shape, generator=torch.Generator().manual_seed(3)
    )
    with torch.no_grad():
        assert (network.energy(damaged) > network.energy(good)).float().mean() > 0.8


def test_sampling_keeps_every_singular_value_at_1_or_below(values):
    energy = trained(values, BY["cd"]).energy
    for each in (energy.linear, *energy.convolutions, *energy.residuals):
        assert torch.linalg.matrix_norm(each.weight.flatten(1), ord=2) < 1 + 1e-5


@pytest.mark.parametrize("trainer", BY)
def test_a_seed_gives_the_same_energy_again(trainer, values):
    once = trained(values, BY[trainer])
    assert states_equal(once, trained(values, BY[trainer]))
    assert not states_equal(once, trained(values, replace(BY[trainer], seed=1)))


@pytest.mark.parametrize("trainer", BY)
def test_a_training_that_was_interrupted_ends_as_one_that_was_not(trainer, values, tmp_path):
    settings = replace(BY[trainer], checkpoint=str(tmp_path / "training.safetensors"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edge_ad.methods.epochs.save_progress", save_once_and_be_killed)
        with pytest.raises(KeyboardInterrupt):
            trained(values, settings)
    resumed = trained(values, settings)
    assert states_equal(resumed, trained(values, BY[trainer]))
    assert states_equal(trained(values, settings), resumed)  # nothing is left to do


def save_once_and_be_killed(*state):
    save_progress(*state)
    raise KeyboardInterrupt


def test_a_checkpoint_of_another_training_or_of_nothing_is_refused(values, tmp_path):
    file = tmp_path / "training.safetensors"
    settings = replace(SETTINGS, checkpoint=str(file), epochs=1)
    trained(values, settings)
    with pytest.raises(FitError, match="a checkpoint of other images or settings"):
        trained(values, settings, identity="two")
    tensors = {n: v for n, v in load_file(file).items() if not n.startswith("adam.0.")}
    with safe_open(file, framework="pt") as opened:
        told = opened.metadata()
    save_file(tensors, file, told)
    with pytest.raises(FitError, match="a checkpoint of another network"):
        trained(values, replace(settings, epochs=2))
    file.write_bytes(b"no checkpoint")
    with pytest.raises(FitError, match="not a checkpoint of a training"):
        trained(values, settings)


def test_what_a_checkpoint_is_of(parts):
    images = GoodImages(list_images(parts / "train/good"), SETTINGS.preprocessing)

    def identity(settings):
        return identity_of(images, settings, NOT_OF_TRAINING)

    same = replace(SETTINGS, score="energy", patience=3, false_reject_rate=0.3, checkpoint="x")
    assert identity(same) == identity(SETTINGS)
    for other in ({"epochs": 9}, {"trainer": "cd"}, {"most_noise": 2.0}, {"seed": 1}):
        assert identity(replace(SETTINGS, **other)) != identity(SETTINGS)


def test_no_image_is_for_two_things_but_a_single_one():
    split = split_images(40, SETTINGS)
    assert sorted(split.trained + split.watched) == list(range(40))
    assert len(split.watched) == 4
    two, one = split_images(2, SETTINGS), split_images(1, SETTINGS)
    assert (len(two.trained), len(two.watched)) == (1, 1)
    assert one.trained == one.watched == [0]


def test_watched_images_have_no_part_in_the_weights_of_an_epoch(values):
    settings = replace(SETTINGS, epochs=1)
    (watched,) = split_images(len(values), settings).watched
    others = values.copy()
    others[watched] += 40
    assert states_equal(trained(values, settings), trained(others, settings))


def test_the_training_ends_when_watched_images_get_no_better(values, tmp_path, monkeypatch):
    worse = iter(range(100))
    monkeypatch.setattr(
        "edge_ad.methods.energy.matching.Matching.watch", lambda *_: float(next(worse))
    )
    best = trained(values, replace(SETTINGS, epochs=20, patience=2))
    assert next(worse) == 3  # the first is the best, and two more are not
    assert not states_equal(best, build_network(SETTINGS))


def test_a_loss_that_is_not_finite_in_the_first_epoch_names_the_learning_rate(values):
    huge = values.copy()
    huge[split_images(len(values), SETTINGS).watched] = 1e30
    with pytest.raises(FitError, match=r"first epoch: the loss is not finite at learning_rate"):
        trained(huge)


def test_a_divergence_later_is_told_and_the_best_energy_is_kept(values, monkeypatch):
    told = iter(["", "samples do not follow"])
    monkeypatch.setattr(Contrast, "after_epoch", lambda _: next(told))
    with pytest.warns(EdgeADWarning, match="epoch 2, and epoch 1 is kept: samples"):
        found = trained(values, BY["cd"])
    monkeypatch.setattr(Contrast, "after_epoch", lambda _: "")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edge_ad.methods.epochs.Progress.is_over", lambda s, _: s.epoch == 1)
        assert states_equal(found, trained(values, BY["cd"]))


def test_samples_that_cannot_follow_are_told_apart_by_their_energies(values):
    """A step size of nearly 0 leaves chains where they are, and their energies rise."""
    network = build_network(BY["cd"])
    settings = replace(BY["cd"], langevin_step_size=1e-6, energy_penalty=0.0)
    good = [torch.zeros(3, 64, 64)] * 4
    contrast = Contrast(network.energy, good, settings)
    contrast.loss(torch.stack(good), np.random.default_rng(0)).backward()
    assert contrast.after_epoch() == ""
    with torch.no_grad():
        network.energy.linear.weight *= 100
    contrast.loss(torch.stack(good), np.random.default_rng(0))
    assert "give more --langevin-steps than 2" in contrast.after_epoch()


def test_images_without_contrast_are_learned_from(tmp_path):
    grey = np.full((3, 32, 32, 3), 90, np.uint8)
    images = GoodImages.in_memory(grey, SETTINGS.preprocessing)
    network = METHOD.train(images, replace(SETTINGS, epochs=1), progress=False)
    with torch.inference_mode():
        outputs = network(torch.from_numpy(grey))
    assert all(torch.isfinite(value).all() for value in outputs.values())


def test_values_that_are_not_finite_are_refused(monkeypatch):
    network = build_network(SETTINGS)
    broken = torch.full((2, 3, 64, 64), torch.nan)
    monkeypatch.setattr(network.values, "forward", lambda image: broken)
    images = GoodImages.in_memory(np.zeros((2, 32, 32, 3), np.uint8), SETTINGS.preprocessing)
    with pytest.raises(FitError, match="not finite"):
        values_of_images(network, images, progress=False)
