import json

import pytest

from edge_ad import PatchCoreConfig
from edge_ad_runtime.artifact import strict
from edge_ad_runtime.errors import ConfigError


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"backbone": "vgg16"}, "backbone is 'vgg16'; it must be one of auto, resnet18, "),
        ({"layers": (2, 5)}, "layers is (2, 5); it must be some of 1, 2, 3, 4 in rising order"),
        ({"layers": ()}, "layers is (); it must be some of"),
        ({"layers": (3, 2)}, "rising order"),
        ({"layers": (2, 2)}, "rising order"),
        ({"layers": [2, 3]}, "layers is [2, 3]; it must be whole numbers some of"),
        ({"patch_size": 4}, "patch_size is 4; it must be from 1 to 13 and odd"),
        ({"patch_size": 15}, "patch_size is 15; it must be from 1 to 13 and odd"),
        ({"patch_size": 3.0}, "patch_size is 3.0; it must be a whole number from 1 to 13 and odd"),
        ({"patch_size": True}, "patch_size is True; it must be a whole number"),
        ({"size": (16, 224)}, "size is (16, 224); each side must be 32 to 4096 pixels"),
        ({"size": (64, 64, 64)}, "size is (64, 64, 64); it must be 2 whole numbers"),
        ({"resize_px": 100}, "resize_px is 100; it must be from 224 to 8192"),
        ({"keep_aspect": None}, "keep_aspect is None; it must be true or false"),
        ({"convention": "spade"}, "convention is 'spade'; it must be one of paper, inspection, "),
        ({"stride": 5}, "stride is 5; it must be from 1 to 4"),
        ({"aggregated_dim": -1}, "aggregated_dim is -1; it must be from 0 to 8192"),
        ({"neighbours": 0}, "neighbours is 0; it must be from 1 to 100"),
        ({"subsampler": "kmeans"}, "subsampler is 'kmeans'; it must be one of greedy, random, "),
        ({"coreset_fraction": 0}, "coreset_fraction is 0; it must be above 0 and at most 1"),
        ({"coreset_fraction": 1.5}, "coreset_fraction is 1.5; it must be above 0 and at most 1"),
        ({"coreset_fraction": None}, "coreset_fraction is None; it must be a finite number above"),
        ({"reweight_neighbours": 1}, "with 1 every score would be 0"),
        ({"reweight_neighbours": 1001}, "reweight_neighbours is 1001; it must be from 0 to 1000"),
        ({"shots": 0}, "shots is 0; it must be at least 1"),
        ({"holdout_fraction": 1.0}, "holdout_fraction is 1.0; it must be at least 0 and below 1"),
        ({"holdout_fraction": -0.1}, "holdout_fraction is -0.1; it must be at least 0"),
        ({"false_reject_rate": 0.0}, "false_reject_rate is 0.0; it must be above 0 and below 1"),
        ({"exclude_outliers": 1.0}, "exclude_outliers is 1.0; it must be above 1"),
        (
            {"exclude_outliers": float("inf")},
            "exclude_outliers is inf; it must be a finite number above 1",
        ),
        ({"seed": -1}, "seed is -1; it must be at least 0"),
        ({"weights": None}, "weights is None; it must be a text"),
    ],
)
def test_settings_that_cannot_work_are_refused_by_name(settings, message):
    with pytest.raises(ConfigError) as caught:
        PatchCoreConfig(**settings)
    assert message in str(caught.value)


def test_it_survives_json():
    config = PatchCoreConfig(layers=(1, 3), size=(192, 256), false_reject_rate=0.05)
    assert strict.parse(PatchCoreConfig, strict.loads(strict.dumps(config))) == config


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"patch_size": 4}, "patch_size: expected int that is odd, found 4"),
        ({"backbone": "resnet18"}, "backbone is 'resnet18' and weights 'default'"),
    ],
)
def test_json_is_held_to_the_same_bounds(change, message):
    raw = json.loads(strict.dumps(PatchCoreConfig()))
    with pytest.raises(ValueError, match=message):
        strict.parse(PatchCoreConfig, raw | change)


def test_timms_networks_are_known_by_their_prefix():
    config = PatchCoreConfig(backbone="timm:vit_small_patch14_dinov2", weights="imagenet")
    assert config.resolved_backbone == "timm:vit_small_patch14_dinov2"


def test_the_conventions_choice_holds_unless_another_is_made():
    assert PatchCoreConfig().resolved_aggregated_dim is None
    assert PatchCoreConfig(convention="inspection").resolved_aggregated_dim == 1024
    assert (
        PatchCoreConfig(convention="inspection", aggregated_dim=0).resolved_aggregated_dim is None
    )
    assert PatchCoreConfig(aggregated_dim=256).resolved_aggregated_dim == 256
    assert PatchCoreConfig(reweight_neighbours=0).scoring.reweight_neighbours is None
    assert PatchCoreConfig().scoring.reweight_neighbours == 9
