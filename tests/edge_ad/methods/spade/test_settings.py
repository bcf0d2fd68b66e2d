import pytest

from edge_ad import SpadeConfig
from edge_ad_runtime.artifact import strict
from edge_ad_runtime.errors import ConfigError


def test_the_defaults_are_the_papers():
    config = SpadeConfig(weights="untrained")
    assert (config.layers, config.gallery_neighbours, config.pixel_neighbours) == ((1, 2, 3), 50, 1)
    assert (config.window, config.score, config.mapped) == (None, "dn2", "always")
    assert config.squared
    assert (config.map.upsampling, config.map.blur_sigma_px) == ("bilinear", 4)
    assert config.resolved_calibration == "leave-one-out"
    assert not SpadeConfig(weights="untrained", convention="byungjae89").squared


def test_they_survive_json():
    config = SpadeConfig(weights="untrained", window=2, score="map", clean_fraction=0.25)
    assert strict.parse(SpadeConfig, strict.loads(strict.dumps(config))) == config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gallery_neighbours": 0}, "gallery_neighbours is 0; it must be from 1 to 1000"),
        ({"pixel_neighbours": 0}, "pixel_neighbours is 0"),
        ({"window": -1}, "window is -1"),
        ({"score": "largest"}, "score is 'largest'; it must be one of dn2, map"),
        ({"mapped": "never"}, "mapped is 'never'; it must be one of always, suspicious"),
        ({"clean_fraction": 1.0}, "clean_fraction is 1.0; it must be"),
        ({"score": "map", "mapped": "suspicious"}, "needs the map of every image"),
        ({"taps": 2}, "SPADE takes one output of each layer"),
    ],
)
def test_settings_that_cannot_work_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        SpadeConfig(weights="untrained", **changes)
