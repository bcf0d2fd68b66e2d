import pytest

from edge_ad import PatchCoreConfig
from edge_ad_runtime.artifact import strict
from edge_ad_runtime.errors import ConfigError


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"backbone": "vgg16"}, "backbone is 'vgg16'; known are resnet18"),
        ({"layers": (2, 5)}, "layers is"),
        ({"layers": ()}, "layers is"),
        ({"layers": (3, 2)}, "rising order"),
        ({"layers": (2, 2)}, "rising order"),
        ({"patch_size": 4}, "patch_size is 4; it must be odd"),
        ({"patch_size": 15}, "patch_size is 15"),
        ({"size": (16, 224)}, "size is"),
        ({"resize_px": 100}, "resize is 100; it must be 224 to 8192"),
        ({"convention": "spade"}, "convention is 'spade'; known are paper"),
        ({"stride": 5}, "stride is 5"),
        ({"aggregated_dim": -1}, "aggregated_dim is -1"),
        ({"neighbours": 0}, "neighbours is 0"),
        ({"subsampler": "kmeans"}, "subsampler is 'kmeans'"),
        ({"coreset_fraction": 0}, "coreset_fraction is 0"),
        ({"coreset_fraction": 1.5}, "coreset_fraction is 1.5"),
        ({"reweight_neighbours": 1}, "with 1 every score would be 0"),
        ({"holdout_fraction": 1.0}, "holdout_fraction is 1.0"),
        ({"false_reject_rate": 0.0}, "false_reject_rate is 0.0"),
        ({"exclude_outliers": float("inf")}, "exclude_outliers is inf; it must be a number above"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_settings_that_cannot_work_are_refused_by_name(settings, message):
    with pytest.raises(ConfigError) as caught:
        PatchCoreConfig(**settings)
    assert message in str(caught.value)


def test_it_survives_json():
    config = PatchCoreConfig(layers=(1, 3), size=(192, 256), false_reject_rate=0.05)
    assert strict.parse(PatchCoreConfig, strict.loads(strict.dumps(config))) == config
