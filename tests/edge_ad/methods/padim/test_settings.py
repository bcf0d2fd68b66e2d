import pytest

from edge_ad import PadimConfig
from edge_ad_runtime.errors import ConfigError


def test_conventions_decide_what_is_left_open():
    paper, anomalib = (
        PadimConfig(weights="untrained", convention=name) for name in ("paper", "anomalib")
    )
    assert (paper.epsilon, paper.map.border) == (0.01, "reflect")
    assert (anomalib.epsilon, anomalib.map.border) == (0.01001, "mirror")
    given = PadimConfig(weights="untrained", convention="anomalib", regularisation=0.04)
    assert given.epsilon == 0.04


def test_the_first_three_stages_are_used_and_all_images_are_learned_from():
    settings = PadimConfig(weights="untrained")
    assert settings.layers == (1, 2, 3)
    assert settings.resolved_calibration == "leave-one-out"
    assert PadimConfig(weights="untrained", calibration="split").resolved_calibration == "split"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"regularisation": 0.0}, "regularisation is 0.0; it must be above 0"),
        ({"dimensions": 0}, "dimensions is 0; it must be from 1 to 4096"),
        ({"reduction": "all", "dimensions": 9}, "reduction is 'all' and dimensions 9; leave"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        PadimConfig(weights="untrained", **settings)
