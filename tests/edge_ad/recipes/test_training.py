import argparse
import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from edge_ad.networks.procedural import Procedural
from edge_ad.recipes.defects import draw_defective, draw_good
from edge_ad.recipes.episodes import BANK, GOOD, IMAGES, Episodes, draw_episode
from edge_ad.recipes.objective import outcome, relative_distances
from edge_ad.recipes.products import SIDE as PX
from edge_ad.recipes.products import draw_product
from edge_ad.recipes.textures import KINDS, SIDE, draw_texture
from edge_ad.recipes.train import Learner, train

TEXTURES = np.stack([draw_texture(np.random.default_rng(i)) for i in range(12)])


@pytest.mark.parametrize("kind", KINDS)
def test_textures_vary(kind):
    drawn = [kind(np.random.default_rng(i)) for i in range(4)]
    assert all(texture.shape == (SIDE, SIDE) for texture in drawn)
    assert all(np.isfinite(texture).all() and texture.std() > 0 for texture in drawn)
    assert not np.array_equal(drawn[0], drawn[1])


@pytest.mark.parametrize("seed", range(20))
def test_what_is_damaged_is_marked_and_the_rest_is_as_it_was(seed):
    rng = np.random.default_rng(seed)
    product = draw_product(rng, TEXTURES)
    photo = draw_defective(product, np.random.default_rng([seed, 1]))
    assert photo.image.shape == (PX, PX, 3)
    assert photo.image.dtype == np.uint8
    assert photo.change.shape == (PX, PX)
    assert (photo.change > 3).mean() < 0.9
    assert not draw_good(product, rng).change.any()


def test_nearly_all_damage_can_be_seen():
    seen = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        product = draw_product(rng, TEXTURES)
        seen.append(draw_defective(product, rng).change.max() > 10)
    assert np.mean(seen) > 0.9


def test_grey_products_are_grey_and_most_others_are_not():
    spreads: dict[bool, list[int]] = {True: [], False: []}
    for seed in range(20):
        rng = np.random.default_rng(seed)
        product = draw_product(rng, TEXTURES)
        image = draw_defective(product, rng).image.astype(int)
        spreads[product.is_grey].append(np.ptp(image, axis=2).max())
    assert max(spreads[True]) <= 2  # JPEG's
    assert np.median(spreads[False]) > 20


def test_an_episode_is_the_same_whatever_was_drawn_before_it():
    def some(start, count):
        episodes = iter(Episodes(0, start, 5))
        return [next(episodes) for _ in range(count)]

    from_the_start, resumed = some(0, 8), some(7, 1)
    assert np.array_equal(from_the_start[7].images, resumed[0].images)
    assert not np.array_equal(from_the_start[6].images, resumed[0].images)


def test_an_episodes_bank_and_good_parts_are_undamaged():
    episode = draw_episode(np.random.default_rng(3), TEXTURES)
    assert len(episode.images) == len(episode.change) == IMAGES
    assert not episode.change[: BANK + GOOD].any()
    assert episode.change[BANK + GOOD :].any()


def features(seed, count=IMAGES, side=6):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(count, 5, side, side))).float()


def test_relative_distances_do_not_depend_on_the_features_scale():
    rows = features(0).flatten(2).permute(0, 2, 1)
    found = relative_distances(rows[:BANK], rows[BANK:])
    larger = relative_distances(7 * rows[:BANK], 7 * rows[BANK:])
    assert found.shape == (IMAGES - BANK, 36)
    assert torch.allclose(found, larger, rtol=1e-3)
    assert found[:GOOD].mean() == pytest.approx(1)


def test_relative_distances_are_those_of_whitened_patches():
    rows = features(1).flatten(2).permute(0, 2, 1).double()
    bank, asked = rows[:BANK].flatten(0, 1), rows[BANK:].flatten(0, 1)
    covariance = np.cov(bank.numpy(), rowvar=False, bias=True)
    shrunk = 0.9 * covariance + 0.1 * np.trace(covariance) / 5 * np.eye(5)
    away = (asked[:, None] - bank[None]).numpy()
    all_pairs = np.sqrt(np.einsum("abi,ij,abj->ab", away, np.linalg.inv(shrunk), away))
    nearest = all_pairs.min(axis=1).reshape(-1, 36)
    found = relative_distances(rows[:BANK].float(), rows[BANK:].float()).numpy()
    assert found == pytest.approx(nearest / nearest[:GOOD].mean(), rel=0.02, abs=0.02)


def test_damage_that_stands_out_costs_less_than_damage_that_does_not():
    change = torch.zeros(IMAGES, 6, 6)
    change[BANK + GOOD :, 2:4, 2:4] = 50
    hidden = features(2)
    shown = hidden.clone()
    shown[BANK + GOOD :, :, 2:4, 2:4] += 20
    easy, hard = outcome([shown], change), outcome([hidden], change)
    assert easy.auroc == 1
    assert easy.loss < 0.01 < hard.loss
    assert outcome([hidden], torch.zeros_like(change)) is None


def options(out, **settings):
    defaults = {
        "steps": 4,
        "fall": 8,
        "rate": 1e-3,
        "textures": 4,
        "workers": 0,
        "seed": 0,
        "device": "cpu",
    }
    return argparse.Namespace(out=out, **{**defaults, **settings})


def test_folded_networks_give_the_same_maps():
    torch.manual_seed(0)
    learner = Learner().eval()
    maps = [
        torch.rand(1, c, s, s)
        for c, s in zip(learner.network.scattering.channels, (12, 6), strict=True)
    ]
    for standardise, m in zip(learner.standardise, maps, strict=True):
        standardise.learn([m])
    for expected, found in zip(learner(maps), learner.folded().head(maps), strict=True):
        assert (found - expected).abs().max() < 0.01 * expected.std()


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # OpenVINO's use of torch
def test_training_that_was_cut_off_goes_on(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("edge_ad.recipes.train._STANDARDISE_EPISODES", 1)
    monkeypatch.setattr("edge_ad.recipes.train._SAVE_STEPS", 2)
    monkeypatch.setattr("edge_ad.recipes.train._RECORD_STEPS", 2)
    whole, halved = tmp_path / "whole", tmp_path / "halved"
    train(options(whole))
    real_rate = train.__globals__["_rate"]

    def stops(given, step):
        if step == 3:
            raise KeyboardInterrupt
        return real_rate(given, step)

    monkeypatch.setattr("edge_ad.recipes.train._rate", stops)
    with pytest.raises(KeyboardInterrupt):
        train(options(halved))
    assert not (halved / "procedural.safetensors").exists()
    monkeypatch.setattr("edge_ad.recipes.train._rate", real_rate)
    train(options(halved))
    images = torch.rand(1, 3, 64, 64)
    found = []
    for folder in (whole, halved):
        network = Procedural()
        network.load_state_dict(load_file(folder / "procedural.safetensors"))
        found.append(torch.cat([m.flatten() for m in network(images)]))
    assert (found[0] - found[1]).abs().max() < 0.02 * found[0].std()
    lines = [json.loads(line) for line in (whole / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4]
