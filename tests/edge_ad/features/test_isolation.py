import shutil
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from edge_ad import ReferenceDetector, fit
from edge_ad.features.isolation import find_isolated
from edge_ad_runtime.commands.main import main
from edge_ad_runtime.images import read_image, write_png

RNG = np.random.default_rng(0)
FEATURES = RNG.standard_normal((6, 4, 5, 16)).astype(np.float32)
PATHS = [f"{i}.png" for i in range(6)]


def test_a_patch_unlike_all_other_images_is_first_and_located():
    features = FEATURES.copy()
    features[4, 2, 3] += 20
    first, *others = find_isolated(features, PATHS)
    assert (first.path, first.cell, first.grid) == ("4.png", (2, 3), (4, 5))
    others_patches = np.delete(features, 4, axis=0).reshape(-1, 16)
    expected = np.linalg.norm(others_patches - features[4, 2, 3], axis=1).min()
    assert first.distance == pytest.approx(expected, rel=1e-4)
    assert first.relative > 5 > others[0].relative


def test_a_defect_that_fills_many_patches_of_one_image_is_isolated_all_the_same():
    features = FEATURES.copy()
    features[1] += 20  # its patches are near one another, but far from all other images
    assert find_isolated(features, PATHS)[0].path == "1.png"


def test_only_what_is_above_the_limit_is_excluded():
    features = FEATURES.copy()
    features[4, 2, 3] += 20
    excluded = [p.path for p in find_isolated(features, PATHS, exclude_above=3) if p.excluded]
    assert excluded == ["4.png"]
    assert not any(p.excluded for p in find_isolated(features, PATHS))


def test_one_image_alone_has_nothing_to_be_compared_with():
    assert find_isolated(FEATURES[:1], PATHS[:1]) == []


@pytest.fixture
def poisoned(parts, tmp_path):
    """Good parts with a spoilt one among them, in the bank with seed 0."""
    folder = shutil.copytree(parts / "train/good", tmp_path / "good")
    write_png(folder / "003.png", spoilt(folder / "003.png"))
    return folder


def spoilt(path):
    image = read_image(path)
    image[100:150, 150:220] = (230, 30, 20)
    image[110:140:6, 150:220] = 255
    return image


def test_a_defective_part_among_the_good_is_named_and_can_be_left_out(poisoned, parts, small):
    kept = fit(poisoned, small)
    first = kept.record.isolated[0]
    assert first.path.endswith("003.png")
    assert not first.excluded
    limit = (first.relative + kept.record.isolated[1].relative) / 2
    without = fit(poisoned, replace(small, exclude_outliers=limit))
    assert [p.path for p in without.record.isolated if p.excluded] == [first.path]
    image = spoilt(parts / "test/good/000.png")
    scores = [ReferenceDetector(fitted).predict(image).score for fitted in (kept, without)]
    assert scores[1] > 1.2 * scores[0]


def test_the_command_names_it_and_draws_a_contact_sheet(poisoned, tmp_path):
    sheet = tmp_path / "sheet.png"
    settings = ("--weights", "untrained", "--layers", "1,2", "--size", "64x80",
                "--coreset-fraction", "0.05")  # fmt: skip
    result = CliRunner().invoke(
        main,
        ["fit", str(poisoned), "--out", str(tmp_path / "x.fit"), *settings,
         "--contact-sheet", str(sheet)],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "most isolated good image" in result.stdout
    assert "003.png" in result.stdout
    assert read_image(sheet).shape[1] == 4 * 224
