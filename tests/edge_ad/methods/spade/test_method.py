import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from edge_ad import FittedDetector, ReferenceDetector, SpadeConfig, fit
from edge_ad.features.layers import pretrained
from edge_ad.images.good import GoodImages, load_preprocessed
from edge_ad.methods.judge import Judge
from edge_ad.methods.spade.left_out import find_least_alike
from edge_ad.methods.spade.network import build_network
from edge_ad.networks.run import TorchRun
from edge_ad_runtime.errors import EdgeADWarning, FitError
from edge_ad_runtime.heads.stages import own_stages
from edge_ad_runtime.images import read_image, write_png

VARIANTS = {
    "paper": {},
    "square": {"size": (64, 64)},
    "score of the map": {"score": "map"},
    "window": {"window": 1, "pixel_neighbours": 3},
    "three of each": {"pixel_neighbours": 3, "convention": "byungjae89"},
    "suspicious": {"mapped": "suspicious"},
    "more neighbours than images": {"gallery_neighbours": 50},
}


@pytest.fixture
def image(good, config):
    return load_preprocessed(good[0], config.preprocessing)


@pytest.mark.parametrize("layers", [(1, 2), (1,), (2,)])
def test_the_deepest_layer_of_the_weights_is_pooled(config, image, layers):
    network = build_network(replace(config, layers=layers))
    assert int(network.pooled_layer) == 2
    outputs = TorchRun(network)(image[np.newaxis])
    assert list(outputs) == ["pooled", *(f"layer{layer}" for layer in layers)]
    assert outputs["pooled"].shape == (1, 128)
    if 2 in layers:
        assert outputs["layer2"].shape == (1, 8, 10, 128)
        assert np.allclose(outputs["pooled"], outputs["layer2"].mean(axis=(1, 2)), atol=1e-5)


def test_with_all_weights_layer_4_is_pooled(image):
    network = build_network(SpadeConfig(weights="untrained", layers=(1,)))
    assert int(network.pooled_layer) == 4
    assert TorchRun(network)(image[np.newaxis])["pooled"].shape == (1, 512)


def test_of_a_backbone_without_layer_4_the_deepest_is_pooled():
    assert int(build_network(SpadeConfig(backbone="procedural", layers=(2, 3))).pooled_layer) == 3


def test_weights_that_lack_a_compared_layer_are_refused(config):
    with pytest.raises(FitError, match=r"lacks layer3.*which the layers in use need"):
        build_network(replace(config, layers=(1, 2, 3)))


def test_a_damaged_layer_4_is_an_error_and_not_left_out(config, tmp_path):
    state = pretrained(replace(config, weights="untrained", layers=(1, 2, 4))).state_dict()
    state["layer4.0.conv1.weight"][0] = torch.nan
    torch.save(state, tmp_path / "damaged.pth")
    with pytest.raises(FitError, match=r"NaN or infinite numbers in layer4.0.conv1.weight"):
        build_network(replace(config, weights=str(tmp_path / "damaged.pth")))


def test_the_gallery_is_what_the_network_gives(spade, good, config):
    kept = spade.kept
    assert kept.pooled.shape == (12, 128)
    assert {name: values.shape for name, values in kept.layers.items()} == {
        "layer1": (12, 16, 20, 64),
        "layer2": (12, 8, 10, 128),
    }
    run = TorchRun(spade.network())
    outputs = run(load_preprocessed(good[5], config.preprocessing)[np.newaxis])
    assert np.allclose(kept.pooled[5], outputs["pooled"][0], atol=1e-5)
    assert np.allclose(kept.layer1[5], outputs["layer1"][0], rtol=1e-3, atol=1e-4)
    assert kept.layer3 is None
    assert spade.method.describe(kept) == "gallery of 12 images x 128, layer1, layer2"


def test_it_comes_back_with_the_fit_folder(spade, tmp_path):
    spade.save(tmp_path / "a.fit")
    loaded = FittedDetector.load(tmp_path / "a.fit")
    assert loaded.config == spade.config
    assert np.array_equal(loaded.kept.layer2, spade.kept.layer2)
    assert loaded.kept.layer4 is None
    assert int(loaded.network().pooled_layer) == 2
    assert loaded.lower(loaded.network()).origin == spade.lower(spade.network()).origin


@pytest.mark.parametrize("changes", [{}, {"score": "map"}, {"score": "map", "window": 1}])
def test_left_out_scores_are_those_of_a_fit_without_the_image(good, config, changes):
    config = replace(config, **changes, gallery_neighbours=9)  # of 4 others: all
    few = good[:5]
    scores = {i.path: i.left_out_score for i in fit(few, config).record.images}
    for path in few:
        others = [other for other in few if other != path]
        without = fit(others, replace(config, calibration="split", holdout_fraction=0.0))
        trace = ReferenceDetector(without).trace(load_preprocessed(path, config.preprocessing))
        assert scores[str(path)] == pytest.approx(float(trace["score"]), rel=1e-4)


@pytest.mark.parametrize("changes", [{}, {"score": "map"}])
def test_copies_are_left_out_together(good, config, changes, tmp_path):
    config = replace(config, **changes, gallery_neighbours=2)
    copied = shutil.copy(good[0], tmp_path / "copy.png")
    with pytest.warns(EdgeADWarning, match="is a copy of"):
        record = fit([*good[:5], copied], config).record
    others = fit(good[1:5], replace(config, calibration="split", holdout_fraction=0.0))
    trace = ReferenceDetector(others).trace(load_preprocessed(good[0], config.preprocessing))
    scores = {image.path: image.left_out_score for image in record.images}
    for path in (good[0], copied):
        assert scores[str(path)] == pytest.approx(float(trace["score"]), rel=1e-4)


def test_the_threshold_is_the_largest_left_out_score(spade):
    scores = spade.left_out_scores
    assert len(scores) == 12
    assert scores.min() > 0
    assert spade.calibration.method == "leave-one-out"
    assert spade.calibration.threshold == scores.max()


def test_one_image_is_enough_but_for_a_threshold(good, config):
    fitted = fit(good[:1], config)
    assert fitted.record.calibration is None
    judge = Judge(TorchRun(fitted.network()), fitted.lower(fitted.network()), config.size)
    assert judge.score(load_preprocessed(good[0], config.preprocessing)) == pytest.approx(0)
    assert judge.score(load_preprocessed(good[1], config.preprocessing)) > 0


def test_too_few_images_for_the_nearest_positions_are_refused(good, config):
    config = replace(config, window=0, pixel_neighbours=3)
    with pytest.raises(FitError, match=r"2 good images are learned from.*needs 3"):
        fit(good[:2], config)
    assert fit(good[:3], config).record.calibration is None  # without itself each has two
    assert fit(good[:4], config).calibration.images == 4


def test_a_share_may_be_held_out_instead(good, config):
    fitted = fit(good, replace(config, calibration="split", holdout_fraction=0.25))
    assert len(fitted.kept.pooled) == 9
    assert len(fitted.left_out_scores) == 3
    assert fitted.calibration.method == "split-conformal"


def test_the_image_least_like_the_others_comes_first_and_may_be_left_out(good, config, tmp_path):
    bad = tmp_path / "negative.png"
    write_png(bad, 255 - read_image(good[0]))
    fitted = fit([*good, bad], replace(config, clean_fraction=0.1))
    first, *others = fitted.record.isolated
    assert (first.path, first.excluded) == (str(bad), True)
    assert first.relative > 1
    assert not any(image.excluded for image in others)
    assert len(fitted.kept.pooled) == 12
    assert np.allclose(fitted.kept.pooled, fit(good, config).kept.pooled, atol=1e-6)
    scores = {image.path: image.left_out_score for image in fitted.record.images}
    assert scores.pop(str(bad)) is None
    assert len([score for score in scores.values() if score is not None]) == 12
    assert fitted.calibration.images == 12


def test_by_default_nothing_is_left_out(spade):
    assert len(spade.record.isolated) == 12
    assert not any(image.excluded for image in spade.record.isolated)
    assert spade.config.clean_fraction == 0


def test_of_one_image_there_is_none_less_alike(spade, good, config):
    kept = replace(spade.kept, pooled=spade.kept.pooled[:1])
    assert find_least_alike(kept, good[:1], config) == []


def test_features_that_float16_does_not_hold_are_refused(good, config):
    def run(images):
        return {
            "pooled": np.ones((len(images), 2), np.float32),
            "layer1": np.full((len(images), 2, 2, 3), 7e4, np.float32),
        }

    method = fit(good[:1], config).method
    images = GoodImages(good[:1], config.preprocessing)
    with pytest.raises(FitError, match="layer1 has features above 65504"):
        method.gather(run, images, config, progress=False)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_head_gives_the_references_values_stage_by_stage(good, config, parts, variant):
    config = replace(config, **VARIANTS[variant])
    fitted = fit(good, config)
    network = fitted.network()
    judge = Judge(TorchRun(network), fitted.lower(network), config.size)
    reference = fitted.method.reference(TorchRun(network), fitted.kept, config)
    for path in sorted((parts / "test").glob("*/000.png")):
        preprocessed = load_preprocessed(path, config.preprocessing)
        values, score = judge.stages(preprocessed)
        expected = reference.trace(preprocessed)
        assert [*expected] == [stage.name for stage in judge.head.stages]
        # float32 differences, where the reference has float64
        for stage in own_stages(judge.head):
            assert np.allclose(values[stage.name], expected[stage.name], rtol=1e-5, atol=1e-6)
        heat = judge.head.replay("map", values)
        assert np.abs(heat - expected["map"]).max() <= 1e-5 * expected["map"].max()
        assert score == pytest.approx(float(expected["score"]), rel=1e-5)
