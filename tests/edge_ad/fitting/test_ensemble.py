from dataclasses import replace

import numpy as np
import pytest

from edge_ad import fit
from edge_ad.fitting.calibrate import learned_threshold
from edge_ad.fitting.ensemble import join
from edge_ad_runtime.errors import ConfigError, FitError


@pytest.fixture(scope="module")
def members(parts, small):
    config = replace(small, holdout_fraction=0.5)
    return [fit(parts / "train/good", replace(config, layers=layers)) for layers in ((1,), (1, 2))]


def test_one_fit_is_an_ensemble_of_itself(members):
    alone = join(members[:1])
    assert alone.scales == (1.0,)
    assert alone.calibration(None) == members[0].calibration


def test_members_are_divided_by_what_good_images_typically_score(members):
    ensemble = join(members)
    scores = np.array([member.left_out_scores for member in members])  # (2, 6)
    assert ensemble.scales == pytest.approx(np.median(scores[:, [0, 3]], axis=1))
    others = scores[:, [1, 2, 4, 5]]
    expected = (others / np.array(ensemble.scales)[:, np.newaxis]).mean(axis=0)
    assert ensemble.left_out_scores == pytest.approx(expected)
    assert ensemble.calibration(None).threshold == pytest.approx(expected.max())
    assert ensemble.calibration(None).images == 4
    assert ensemble.calibration(5.0).method == "given"


@pytest.mark.parametrize("threshold", [0.0, -1.0])
def test_distances_need_a_threshold_above_0(members, threshold):
    with pytest.raises(ConfigError, match="scores of patchcore are distances, .* above 0"):
        join(members).calibration(threshold)


def test_a_member_in_another_unit_changes_nothing(members):
    def in_millimetres(fitted):
        images = tuple(
            replace(i, left_out_score=i.left_out_score and 1000 * i.left_out_score)
            for i in fitted.record.images
        )
        return replace(fitted, record=replace(fitted.record, images=images))

    changed = join([members[0], in_millimetres(members[1])])
    assert changed.left_out_scores == pytest.approx(join(members).left_out_scores)


def test_images_count_that_every_member_has_left_out(members):
    """Such as those that one method holds out, where another leaves out each in turn."""
    images = members[1].record.images
    every = tuple(
        replace(image, held_out=False, left_out_score=image.left_out_score or 1e6)
        for image in images
    )
    of_all = replace(
        members[1],
        record=replace(
            members[1].record,
            images=every,
            calibration=learned_threshold(np.arange(1.0, 13.0), None, "leave-one-out"),
        ),
    )
    ensemble = join([members[0], of_all])
    assert ensemble.left_out_scores == pytest.approx(join(members).left_out_scores)
    assert ensemble.calibration(None).method == "leave-one-out"
    assert ensemble.calibration(1.0).scores_from == "leave-one-out"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 1}, "different images held out"),
        ({"size": (96, 96)}, "different size, resize or keep_aspect"),
        ({"false_reject_rate": 0.5}, "different false_reject_rate"),
    ],
)
def test_fits_that_do_not_go_together_are_refused(members, parts, small, change, message):
    other = fit(parts / "train/good", replace(members[0].config, **change))
    with pytest.raises(ConfigError, match=message):
        join([members[0], other])


def test_too_few_held_out_images_are_refused(parts, small):
    few = fit(parts / "train/good", replace(small, shots=3))
    with pytest.raises(FitError, match="1 images were left out by every member; an ensemble"):
        join([few, few])
