from dataclasses import replace

import numpy as np
import pytest

from edge_ad import fit
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
    scores = np.array([member.held_out_scores for member in members])  # (2, 6)
    assert ensemble.scales == pytest.approx(np.median(scores[:, [0, 3]], axis=1))
    others = scores[:, [1, 2, 4, 5]]
    expected = (others / np.array(ensemble.scales)[:, np.newaxis]).mean(axis=0)
    assert ensemble.held_out_scores == pytest.approx(expected)
    assert ensemble.calibration(None).threshold == pytest.approx(expected.max())
    assert ensemble.calibration(None).images == 4
    assert ensemble.calibration(5.0).method == "given"


def test_a_member_in_another_unit_changes_nothing(members):
    def in_millimetres(fitted):
        images = tuple(
            replace(i, held_out_score=i.held_out_score and 1000 * i.held_out_score)
            for i in fitted.record.images
        )
        return replace(fitted, record=replace(fitted.record, images=images))

    changed = join([members[0], in_millimetres(members[1])])
    assert changed.held_out_scores == pytest.approx(join(members).held_out_scores)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 1}, "different good images, or other ones held out"),
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
    with pytest.raises(FitError, match="1 held-out images; an ensemble needs 2"):
        join([few, few])
