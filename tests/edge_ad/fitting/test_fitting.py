import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_ad import FittedDetector, ReferenceDetector, fit
from edge_ad.features.store import allocate
from edge_ad_runtime.errors import (
    ArtifactError,
    ConfigError,
    EdgeADWarning,
    FitError,
    ImageError,
)
from edge_ad_runtime.images import read_image

FILES = ["fit.json", "held_out.safetensors", "kept.safetensors", "network.safetensors"]


def test_it_learns_a_bank_and_a_threshold(fitted):
    assert fitted.kept.grid.tolist() == [16, 20]
    assert fitted.kept.features.shape == (160, 192)  # 5% of 10 images x 320 patches
    assert fitted.calibration.images == 2
    held_out = [i.left_out_score for i in fitted.record.images if i.left_out_score is not None]
    assert max(held_out) == fitted.calibration.threshold


def test_the_same_images_and_seed_give_the_same_bytes(parts, small, fitted, tmp_path):
    fitted.save(tmp_path / "one")
    fit(parts / "train/good", small).save(tmp_path / "two")
    written = sorted(p.name for p in (tmp_path / "one").iterdir())
    assert written == sorted([*FILES, "fit.toml"])  # which is for people, and is not read
    for name in written:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_another_seed_holds_out_other_images(parts, small, fitted):
    other = fit(parts / "train/good", replace(small, seed=3))
    assert {i.path for i in other.record.images if i.left_out_score is not None} != {
        i.path for i in fitted.record.images if i.left_out_score is not None
    }


def test_it_survives_its_folder(fitted, tmp_path, parts):
    fitted.save(tmp_path / "plate.fit")
    loaded = FittedDetector.load(tmp_path / "plate.fit")
    assert loaded.record == fitted.record
    assert loaded.config == fitted.config
    assert np.array_equal(loaded.kept.features, fitted.kept.features)
    image = parts / "test/stain/000.png"
    assert ReferenceDetector(loaded).predict(image).score == pytest.approx(
        ReferenceDetector(fitted).predict(image).score
    )


def test_left_out_scores_are_the_references(fitted):
    reference = ReferenceDetector(fitted)
    for image in fitted.record.images:
        if image.left_out_score is not None:
            assert reference.predict(image.path).score == pytest.approx(
                image.left_out_score, rel=1e-4
            )


def test_features_in_a_scratch_file_give_the_same_fit_and_leave_nothing(
    parts, small, fitted, tmp_path, monkeypatch
):
    monkeypatch.setattr("edge_ad.features.store._IN_MEMORY_BYTES", 1000)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    scratch = fit(parts / "train/good", small)
    assert np.array_equal(scratch.kept.features, fitted.kept.features)
    assert type(scratch.kept.features) is np.ndarray
    assert list(tmp_path.iterdir()) == []


def test_a_scratch_file_that_would_not_fit_is_refused_before_it_is_made(monkeypatch):
    with pytest.raises(FitError, match=r"need .* GB of scratch space, .* set TMPDIR"):
        allocate((10**9, 10**6))


def test_an_existing_folder_is_not_overwritten_unasked(fitted, tmp_path):
    fitted.save(tmp_path / "plate.fit")
    with pytest.raises(ConfigError, match="already exists"):
        fitted.save(tmp_path / "plate.fit")
    fitted.save(tmp_path / "plate.fit", overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["plate.fit"]


def test_too_few_images_are_refused(parts, small):
    one = sorted((parts / "train/good").iterdir())[:1]
    with pytest.raises(FitError, match="1 good images; at least 2 are needed"):
        fit(one, small)


def test_shots_are_a_seeded_draw(parts, small):
    drawn = [
        {
            Path(i.path).name
            for i in fit(parts / "train/good", replace(small, shots=5, **s)).record.images
        }
        for s in ({}, {}, {"seed": 1})
    ]
    assert len(drawn[0]) == len(drawn[2]) == 5
    assert drawn[0] == drawn[1] != drawn[2]
    with pytest.raises(ConfigError, match="shots is 13; there are only 12"):
        fit(parts / "train/good", replace(small, shots=13))


def test_one_image_is_enough_for_a_bank_but_not_for_a_threshold(parts, small, tmp_path):
    fitted = fit(parts / "train/good", replace(small, shots=1, holdout_fraction=0))
    fitted.save(tmp_path / "one.fit")
    loaded = FittedDetector.load(tmp_path / "one.fit")
    assert loaded.record.calibration is None
    assert len(loaded.left_out_scores) == 0
    own, bad = (
        ReferenceDetector(loaded).trace(read_image(path))["score"]
        for path in (loaded.record.images[0].path, parts / "test/scratch/000.png")
    )
    assert 0 < own < bad
    with pytest.raises(ConfigError, match="there is no threshold; export with --threshold"):
        ReferenceDetector(loaded).predict(parts / "test/good/000.png")


def test_an_unsupported_false_reject_rate_is_refused_before_any_work(small, tmp_path):
    for i in range(12):
        (tmp_path / f"{i}.png").write_bytes(b"named if it were read")
    with pytest.raises(ConfigError, match="smallest rate they support"):
        fit(tmp_path, replace(small, false_reject_rate=0.01))


def test_one_broken_image_stops_the_fit_and_is_named(parts, small, tmp_path):
    folder = shutil.copytree(parts / "train/good", tmp_path / "good parts")
    (folder / "005.png").write_bytes((folder / "005.png").read_bytes()[:1000])
    with pytest.raises(ImageError) as caught:
        fit(folder, small)
    assert caught.value.path == folder / "005.png"


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_or_missing_file_of_the_fit_folder_is_refused(fitted, tmp_path, name):
    fitted.save(tmp_path / "plate.fit")
    path = tmp_path / "plate.fit" / name
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(ArtifactError):
        FittedDetector.load(tmp_path / "plate.fit")
    path.unlink()
    with pytest.raises(ArtifactError, match="missing"):
        FittedDetector.load(tmp_path / "plate.fit")


def test_a_fit_of_mixed_folders_is_refused(fitted, parts, small, tmp_path):
    fitted.save(tmp_path / "plate.fit")
    fit(parts / "train/good", replace(small, layers=(1,))).save(tmp_path / "other.fit")
    shutil.copy(tmp_path / "other.fit/kept.safetensors", tmp_path / "plate.fit")  # D 64, not 192
    with pytest.raises(ArtifactError, match="another fit's; fit again"):
        FittedDetector.load(tmp_path / "plate.fit")


def test_the_network_and_the_images_of_another_fit_are_refused(fitted, parts, small, tmp_path):
    fitted.save(tmp_path / "plate.fit")
    fit(parts / "train/good", replace(small, seed=7)).save(tmp_path / "other.fit")
    for name in ("network.safetensors", "held_out.safetensors"):
        folder = shutil.copytree(tmp_path / "plate.fit", tmp_path / f"mixed-{name}.fit")
        shutil.copy(tmp_path / "other.fit" / name, folder)
        with pytest.raises(ArtifactError, match="another fit's; fit again"):
            FittedDetector.load(folder)


@pytest.mark.parametrize(
    ("name", "other"),
    [("kept", "held_out"), ("held_out", "kept"), ("held_out", "network")],
)
def test_files_of_a_fit_in_one_anothers_place_are_refused(fitted, tmp_path, name, other):
    """It was a KeyError."""
    fitted.save(tmp_path / "plate.fit")
    content = (tmp_path / f"plate.fit/{other}.safetensors").read_bytes()
    (tmp_path / f"plate.fit/{name}.safetensors").write_bytes(content)
    with pytest.raises(ArtifactError, match=f"{name}.safetensors: its SHA-256 is not that of"):
        FittedDetector.load(tmp_path / "plate.fit")


@pytest.fixture
def twice(parts, tmp_path):
    """Each good part twice, in files that are equal."""
    good = shutil.copytree(parts / "train/good", tmp_path / "good")
    for path in sorted(good.iterdir()):
        shutil.copy(path, path.with_name(f"copy-{path.name}"))
    return good


def test_copies_are_a_warning_and_on_one_side_of_the_hold_out(twice, small):
    with pytest.warns(EdgeADWarning, match=r"12 of 24 good images .* is a copy of .* count once"):
        fitted = fit(twice, replace(small, calibration="split"))
    held_out = {image.sha256 for image in fitted.record.images if image.held_out}
    learned = {image.sha256 for image in fitted.record.images if not image.held_out}
    assert held_out
    assert not held_out & learned
    assert fitted.calibration.images == len(held_out)


def test_copies_are_left_out_together_and_count_once(twice, small, parts, tmp_path):
    config = replace(small, calibration="leave-one-out")
    with pytest.warns(EdgeADWarning, match="show a part that another one shows already"):
        fitted = fit(twice, config)
    assert fitted.calibration.images == len(fitted.left_out_scores) == 12
    scores = {Path(image.path).name: image.left_out_score for image in fitted.record.images}
    assert all(scores[f"copy-{i:03}.png"] == scores[f"{i:03}.png"] for i in range(12))
    once = fit(parts / "train/good", config)
    assert fitted.calibration.threshold > 0.7 * once.calibration.threshold  # it would be about 0
    fitted.save(tmp_path / "twice.fit")
    assert FittedDetector.load(tmp_path / "twice.fit").record == fitted.record


def test_a_rate_that_copies_alone_would_support_is_refused(twice, small):
    config = replace(small, calibration="leave-one-out", false_reject_rate=0.05)
    with (
        pytest.warns(EdgeADWarning),
        pytest.raises(
            ConfigError, match="needs 19 good images that set the threshold, there are 12"
        ),
    ):
        fit(twice, config)


def test_images_of_one_part_alone_cannot_be_split(parts, small, tmp_path):
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for path in paths:
        shutil.copy(parts / "train/good/000.png", path)
    with pytest.warns(EdgeADWarning), pytest.raises(FitError, match="all 3 good images show the"):
        fit(paths, replace(small, calibration="split"))
