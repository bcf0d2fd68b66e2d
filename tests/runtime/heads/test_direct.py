import numpy as np
import pytest

from edge_ad_runtime.artifact.head_records import DirectRecord, MapSettings
from edge_ad_runtime.errors import EdgeADError
from edge_ad_runtime.heads import Opening, open_head
from edge_ad_runtime.heads.in_memory import InMemory
from edge_ad_runtime.heads.stages import own_stages

PLAIN = MapSettings(upsampling="nearest", blur_sigma_px=0.0, border="reflect")
ANOMALY = np.arange(6, dtype=np.float32).reshape(2, 3)


def head(**settings):
    record = DirectRecord(**{"grid": (2, 3), "score": "largest", "map": PLAIN, **settings})
    return open_head(record, InMemory({}), Opening(size=(32, 48)))


def test_the_largest_value_of_the_map_is_the_score():
    judged = head().judge({"anomaly": ANOMALY}, with_map=True)
    assert judged.score == 5
    assert np.array_equal(judged.map, np.kron(ANOMALY, np.ones((16, 16))))
    assert head().judge({"anomaly": ANOMALY}, with_map=False).map is None


def test_a_score_that_the_network_gives_is_taken():
    outputs = {"anomaly": ANOMALY, "score": np.float32(0.25)}
    assert head(score="given").judge(outputs, with_map=False).score == 0.25


def test_its_stages_replayed_are_what_it_judges():
    direct = head(map=MapSettings(upsampling="bilinear", blur_sigma_px=3.0, border="mirror"))
    judged = direct.judge({"anomaly": ANOMALY}, with_map=True)
    before = {"anomaly": ANOMALY}
    assert [stage.name for stage in own_stages(direct)] == ["anomaly"]
    assert np.array_equal(direct.replay("anomaly", before), ANOMALY)
    assert np.array_equal(direct.replay("map", before), judged.map)
    assert direct.replay("score", before) == judged.score


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_never_good(value):
    broken = ANOMALY.copy()
    broken[1, 2] = value
    with pytest.raises(EdgeADError, match="not finite"):
        head().judge({"anomaly": broken}, with_map=False)
    with pytest.raises(EdgeADError, match="not finite"):
        outputs = {"anomaly": ANOMALY, "score": np.float32(value)}
        head(score="given").judge(outputs, with_map=False)


def test_the_output_may_have_another_name_and_numbers_beside_it():
    named = head(output="gradient", beside=("energy",))
    outputs = {"gradient": ANOMALY, "energy": np.float32(7)}
    assert [stage.name for stage in own_stages(named)] == ["energy", "gradient"]
    assert named.outputs.keys() == {"energy", "gradient"}
    assert named.shapes["energy"].shape == ()
    assert named.replay("energy", outputs) == 7
    assert named.judge(outputs, with_map=False).score == named.replay("score", outputs) == 5


def test_a_number_beside_the_map_that_is_not_finite_fails_its_stage():
    named = head(output="gradient", beside=("energy",))
    with pytest.raises(EdgeADError, match="not finite"):
        named.replay("energy", {"energy": np.float32(np.nan)})


@pytest.mark.parametrize(
    "names",
    [
        {"output": "map"},
        {"beside": ("score",)},
        {"beside": ("anomaly",)},
        {"beside": ("energy", "energy")},
        {"output": "energy", "beside": ("energy",)},
    ],
    ids=str,
)
def test_names_that_would_be_two_stages_are_refused(names):
    with pytest.raises(ValueError, match="expected different names"):
        head(**names)


def test_a_map_is_in_the_unit_of_the_score_where_the_score_is_its_largest_value():
    assert head().map_in_unit_of_score
    assert not head(score="given").map_in_unit_of_score
