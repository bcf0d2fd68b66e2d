from dataclasses import replace

import numpy as np
import pytest

from edge_ad import FittedDetector, PatchCoreConfig, ReferenceDetector, fit
from edge_ad.methods.patchcore.bank import Bank, build_bank
from edge_ad.methods.patchcore.left_out import leave_one_out
from edge_ad.methods.patchcore.other_rows import OtherRows
from edge_ad.methods.patchcore.reference import PatchCoreReference
from edge_ad_runtime.errors import ConfigError

CONFIG = PatchCoreConfig(weights="untrained", coreset_fraction=0.2)


def drawn(images=7, grid=(5, 6), dimension=12, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((images, *grid, dimension)).astype(np.float32) + 3


def without(bank, rows, config):
    """The slow truth of a bank that never had these rows."""
    kept = Bank(features=bank.features[~rows], neighbours=None, grid=bank.grid)
    return PatchCoreReference(lambda images: {}, kept, config)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"neighbours": 3},
        {"convention": "inspection"},
        {"convention": "inspection", "neighbours": 2},
        {"subsampler": "random"},
        {"coreset_fraction": 1.0},
        {"coreset_fraction": 0.06},
    ],
    ids=str,
)
def test_a_left_out_score_is_that_of_a_bank_without_the_images_rows(changes):
    features, config = drawn(), replace(CONFIG, **changes)
    bank, _ = build_bank(features, config)
    found = leave_one_out(features, bank, np.arange(7), config)
    assert found is not None
    for i, image in enumerate(features):
        truth = without(bank, bank.images == i, config).trace_features(image, (16, 16))
        assert found[i] == pytest.approx(float(truth["score"]), rel=1e-5)


def test_images_of_one_part_are_left_out_together():
    features, config = drawn(), replace(CONFIG, coreset_fraction=1.0)
    features[4] = features[1] + 1e-3
    bank, _ = build_bank(features, config)
    parts = np.array([0, 1, 2, 3, 1, 5, 6])
    found = leave_one_out(features, bank, parts, config)
    alone = leave_one_out(features, bank, np.arange(7), config)
    assert found is not None
    assert alone is not None
    for i in (1, 4):
        rows = (bank.images == 1) | (bank.images == 4)
        truth = without(bank, rows, config).trace_features(features[i], (16, 16))
        assert found[i] == pytest.approx(float(truth["score"]), rel=1e-5)
        assert found[i] > 100 * alone[i]  # which the other image of the part makes tiny


def test_the_rows_that_a_bank_has_are_those_of_the_images_that_it_names():
    features = drawn()
    for subsampler in ("greedy", "random"):
        bank, _ = build_bank(features, replace(CONFIG, subsampler=subsampler))
        for row, image in zip(bank.features, bank.images, strict=True):
            assert (features[image].reshape(-1, 12) == row).all(axis=1).any()
    assert build_bank(features, replace(CONFIG, subsampler="proxies"))[0].images is None


def test_an_upper_bound_is_never_below_the_distance():
    features = drawn(images=9)
    bank, _ = build_bank(features, CONFIG)
    assert bank.images is not None
    others = OtherRows(bank.features, bank.images.astype(np.int64), seed=0)
    flat, parts = features.reshape(-1, 12), np.repeat(np.arange(9), 30)
    for k in (1, 3):
        exact = others.nearest(flat, parts, k)
        assert (others.upper_bounds(flat, parts, k) >= exact.distances).all()
        assert (bank.images[exact.rows] != parts[:, np.newaxis]).all()


def test_one_image_has_no_others_to_be_scored_by():
    features, config = drawn(images=1), replace(CONFIG, coreset_fraction=1.0)
    assert leave_one_out(features, build_bank(features, config)[0], np.arange(1), config) is None


def test_the_threshold_of_a_fit_is_by_all_images(parts, small):
    fitted = fit(parts / "train/good", replace(small, calibration="leave-one-out"))
    assert not any(image.held_out for image in fitted.record.images)
    assert fitted.calibration.method == "leave-one-out"
    assert fitted.calibration.images == 12
    assert len(fitted.kept.features) == round(12 * 320 * 0.05)
    for i, image in enumerate(fitted.record.images):
        rows = fitted.kept.images == i
        kept = replace(fitted.kept, features=fitted.kept.features[~rows])
        truth = ReferenceDetector(replace(fitted, kept=kept)).predict(image.path)
        assert image.left_out_score == pytest.approx(truth.score, rel=1e-4)


def test_excluded_images_set_no_threshold(parts, small):
    config = replace(small, calibration="leave-one-out", exclude_outliers=1.05)
    fitted = fit(parts / "train/good", config)
    excluded = {patch.path for patch in fitted.record.isolated if patch.excluded}
    assert excluded
    unscored = {i.path for i in fitted.record.images if i.left_out_score is None}
    assert unscored == excluded
    assert fitted.calibration.images == 12 - len(excluded)


def test_where_the_rows_are_from_survives_the_folder(parts, small, tmp_path):
    fitted = fit(parts / "train/good", replace(small, calibration="leave-one-out"))
    fitted.save(tmp_path / "plate.fit")
    loaded = FittedDetector.load(tmp_path / "plate.fit")
    assert np.array_equal(loaded.kept.images, fitted.kept.images)


def test_all_images_are_learned_from_unless_one_asks_for_a_split():
    assert CONFIG.resolved_calibration == "leave-one-out"
    assert CONFIG.resolved_holdout_fraction == 0
    assert replace(CONFIG, calibration="split").resolved_holdout_fraction == 0.2


def test_proxies_are_of_no_image_so_they_split():
    assert replace(CONFIG, subsampler="proxies").resolved_calibration == "split"
    with pytest.raises(ConfigError, match="no rows that are of one image alone"):
        replace(CONFIG, subsampler="proxies", calibration="leave-one-out")
