"""Suggested settings: what is tried, how it is ranked, and what the choice is worth."""

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from edge_ad.commands.suggest import command_of
from edge_ad.fitting.fitting import fit
from edge_ad.images.good import list_images
from edge_ad.images.labelled import list_test_images
from edge_ad.methods.judge import Judge
from edge_ad.methods.patchcore.settings import PatchCoreConfig
from edge_ad.networks.run import TorchRun
from edge_ad.suggesting import suggest as home
from edge_ad.suggesting.candidates import candidates, sizes
from edge_ad.suggesting.damaged import damaged_copies
from edge_ad.suggesting.ranking import held_apart, rank
from edge_ad.suggesting.sample import GOOD, draw_sample
from edge_ad.suggesting.settings import SuggestSettings
from edge_ad.suggesting.trial import Trial, trials
from edge_ad_runtime.commands.main import main
from edge_ad_runtime.errors import ConfigError, FitError
from edge_ad_runtime.images import read_image

SMALL = PatchCoreConfig(weights="untrained", layers=(1, 2), size=(64, 80))


def trial(damaged, *, ms=10.0, size=224, good=None, bad=None):
    scores = {"good": np.zeros(4), "damaged": np.asarray(damaged, float)}
    if good is not None:
        scores["labelled good"] = np.asarray(good, float)
        scores["labelled defective"] = np.asarray(bad, float)
    config = PatchCoreConfig(backbone="procedural", size=(size, size))
    return Trial(
        config=config, scores=scores, bank_rows=1, network_ms=ms, search_ms=0.0, megabytes=1.0
    )


def test_sizes_keep_the_images_proportions_and_do_not_enlarge_them():
    assert sizes((640, 480)) == [(256, 192), (384, 288), (512, 384)]
    assert sizes((250, 250)) == [(224, 224)]


def test_networks_of_our_own_are_tried_with_the_layers_that_they_have():
    found = candidates((640, 640), SuggestSettings())
    assert {c.layers for c in found if c.backbone == "procedural"} == {(2, 3)}
    assert len(found) == len(set(found))


def test_a_weight_file_adds_its_network(tmp_path):
    weights = tmp_path / "my.safetensors"
    asked = SuggestSettings(weights=str(weights), backbone="resnet34")
    with pytest.raises(ConfigError, match="there is no such file"):
        candidates((300, 300), asked)
    weights.write_bytes(b"")  # nothing is loaded yet
    found = candidates((300, 300), asked)
    assert ("resnet34", str(weights)) in {(c.backbone, c.weights) for c in found}


def test_damage_is_small_faint_and_on_the_part():
    image = np.full((200, 200, 3), 180, np.uint8)
    image[120:180, 120:180] = np.random.default_rng(0).integers(0, 256, (60, 60, 3))
    for seed in range(8):
        for copy in damaged_copies(image, seed):
            changed = (copy != image).any(axis=2)
            assert changed.mean() < 0.1
            assert not changed[:60, :60].any()


def test_without_labels_the_best_on_damaged_copies_comes_first():
    first, *_ = rank([trial([0, 0, 1, 1]), trial([1, 1, 1, 1], ms=99)], None)
    assert first.trial.network_ms == 99


def test_of_equally_good_settings_the_fastest_comes_first():
    first, *_ = rank([trial([1] * 4, ms=50), trial([1] * 4, ms=5), trial([0] * 4, ms=1)], None)
    assert first.trial.network_ms == 5


def test_what_is_over_the_budget_comes_last():
    found = rank([trial([1] * 4, ms=50), trial([0, 1, 1, 1], ms=5)], 10.0)
    assert [r.within_budget for r in found] == [True, False]


def test_labels_rank_where_there_are_some():
    by_labels = trial([0, 0, 0, 1], size=448, good=[0] * 8, bad=[1] * 8)
    by_damage = trial([1] * 4, good=[0, 1] * 4, bad=[0, 1] * 4)
    assert rank([by_damage, by_labels], None)[0].trial.config.size == (448, 448)


def test_what_is_reported_is_measured_on_images_that_did_not_choose():
    """Of settings that are pure chance the best looks good, and is worth a half."""
    rng = np.random.default_rng(0)
    worth = []
    for seed in range(12):
        by_chance = [
            trial([0] * 4, good=rng.normal(size=16), bad=rng.normal(size=16)) for _ in range(40)
        ]
        assert rank(by_chance, None)[0].labelled_auroc > 0.65
        worth.append(held_apart(by_chance, seed))
    assert abs(np.mean(worth) - 0.5) < 0.08


def test_with_few_labels_nothing_is_reported():
    assert held_apart([trial([1] * 4, good=[0] * 3, bad=[1] * 9)], 0) is None
    assert held_apart([trial([1] * 4)], 0) is None


def test_a_trials_scores_are_those_of_a_fit_with_the_same_bank(parts, monkeypatch):
    """Where every patch is kept in both, a trial's head and a fit's head must agree."""
    monkeypatch.setattr("edge_ad.suggesting.trial._MOST_PATCHES", 10**9)
    monkeypatch.setattr("edge_ad.suggesting.trial._BANK_ROWS", 10**9)
    monkeypatch.setattr("edge_ad.suggesting.trial._FRACTIONS", (1.0,))
    paths = list_images(parts / "train/good")
    sample = draw_sample(paths, [], images=10, seed=0)
    (found,) = trials([SMALL], sample, tick=lambda: None)
    chosen = [paths[i] for i in np.random.default_rng(0).permutation(len(paths))[:10]]
    held_out = len(sample.judged[GOOD])
    config = PatchCoreConfig(
        weights="untrained", layers=(1, 2), size=(64, 80), coreset_fraction=1, holdout_fraction=0
    )
    fitted = fit(chosen[held_out:], config)
    network = fitted.network()
    judge = Judge(TorchRun(network), fitted.lower(network), config.size)
    expected = [judge.score(config.preprocessing.apply(read_image(p))) for p in chosen[:held_out]]
    assert found.scores[GOOD] == pytest.approx(expected, rel=1e-4)


def test_a_finer_grid_has_a_larger_bank_as_in_a_fit(parts):
    """With as many rows for all, a finer grid would be covered worse than it is by a fit."""
    sample = draw_sample(list_images(parts / "train/good"), [], images=10, seed=0)
    finer = replace(SMALL, size=(128, 160))
    (coarse,), (fine,) = (trials([config], sample, tick=lambda: None) for config in (SMALL, finer))
    assert coarse.config.coreset_fraction == fine.config.coreset_fraction == 0.1
    assert fine.bank_rows == pytest.approx(4 * coarse.bank_rows, abs=4)


def test_too_few_good_images_are_refused(parts):
    with pytest.raises(FitError, match="5 good images; settings can be compared from 8 on"):
        draw_sample(list_images(parts / "train/good")[:5], [], images=40, seed=0)


def test_the_command_prints_a_fit_command_that_works(parts, tmp_path, monkeypatch):
    monkeypatch.setattr(home, "candidates", lambda shape, settings: [SMALL])
    asked = ["suggest", str(parts / "train/good"), "--labelled", str(parts)]
    text = CliRunner().invoke(main, asked)
    assert text.exit_code == 0, text.output
    assert "suggested: edge-ad fit" in text.stdout
    assert "--size 64x80 --layers 1,2" in text.stdout
    record = json.loads(CliRunner().invoke(main, [*asked, "--json"]).stdout)
    assert record["settings"][0]["labelled_auroc"] > 0
    typed = command_of(SMALL, parts / "train/good").split()[1:]
    typed[typed.index("--out") + 1] = str(tmp_path / "x.fit")
    assert CliRunner().invoke(main, typed).exit_code == 0
    assert len(list_test_images(parts)) > 0
