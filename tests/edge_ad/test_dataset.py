import numpy as np
import pytest

from edge_ad.dataset import list_images, list_test_images, read_mask
from edge_ad_runtime.errors import ConfigError, FitError, ImageError
from edge_ad_runtime.images import write_png


def touch(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_a_folder_gives_its_images_sorted_and_nothing_else(tmp_path):
    touch(tmp_path / "b.PNG", tmp_path / "a.jpg", tmp_path / "notes.txt", tmp_path / "sub/c.png")
    assert [p.name for p in list_images(tmp_path)] == ["a.jpg", "b.PNG"]
    assert [p.name for p in list_images(tmp_path, "*.jpg")] == ["a.jpg"]


def test_an_empty_folder_is_refused_and_its_subfolders_named(tmp_path):
    touch(tmp_path / "train/good/1.png")
    with pytest.raises(FitError, match="directly in this folder; it holds the folders train"):
        list_images(tmp_path)
    with pytest.raises(FitError, match="no such folder"):
        list_images(tmp_path / "none")


def test_mvtecs_layout_is_read_with_masks(parts):
    images = list_test_images(parts)
    assert len(images) == 4 + 4 * 2
    for image in images:
        assert image.is_defective == (image.kind != "good") == (image.mask is not None)


def test_plain_good_and_bad_folders_are_read(tmp_path):
    touch(tmp_path / "good/1.png", tmp_path / "bad/1.png")
    assert [(i.kind, i.mask) for i in list_test_images(tmp_path)] == [("bad", None), ("good", None)]


def test_a_folder_without_both_labels_is_refused(tmp_path):
    touch(tmp_path / "good/1.png", tmp_path / "bad/readme.txt")
    with pytest.raises(ConfigError, match=r"needs a folder 'good' and .* found bad, good"):
        list_test_images(tmp_path)
    with pytest.raises(ConfigError, match="no such folder"):
        list_test_images(tmp_path / "none")


def test_a_mask_of_another_size_is_refused(tmp_path):
    write_png(tmp_path / "m.png", np.full((4, 6, 3), 255, np.uint8))
    assert read_mask(tmp_path / "m.png", (4, 6, 3)).all()
    with pytest.raises(ImageError, match=r"the mask is \(4, 6\), its image \(6, 4\)"):
        read_mask(tmp_path / "m.png", (6, 4, 3))
