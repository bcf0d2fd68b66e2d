import pytest

from edge_ad_runtime.errors import ConfigError
from edge_ad_runtime.images.labels import list_labelled


def files(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return folder


def labels(*paths):
    return {image.path.name: image.label for image in list_labelled(paths)}


def test_folders_beside_good_are_labels(tmp_path):
    files(tmp_path, "OK/1.png", "bad/2.png", "bent/3.jpg", "ground_truth/4.png", "train/5.png")
    assert labels(tmp_path) == {"1.png": "good", "2.png": "bad", "3.jpg": "bent"}


def test_mvtecs_layout_is_labelled(tmp_path):
    files(tmp_path, "train/good/0.png", "test/good/1.png", "test/dent/2.png")
    files(tmp_path, "ground_truth/dent/2_mask.png")
    assert labels(tmp_path) == {"1.png": "good", "2.png": "dent"}


def test_files_and_folders_of_images_have_no_label(tmp_path):
    files(tmp_path, "a/1.png", "a/good/2.png", "good/3.png")
    assert labels(tmp_path / "a", tmp_path / "good", tmp_path / "none.png") == {
        "1.png": None, "3.png": None, "none.png": None,
    }  # fmt: skip


def test_a_folder_without_images_or_labels_is_refused(tmp_path):
    files(tmp_path, "a/1.txt")
    with pytest.raises(ConfigError, match="no images in this folder"):
        labels(tmp_path)
    files(tmp_path / "labelled", "good/1.png", "bad/1.txt")
    with pytest.raises(ConfigError, match="bad: no images in this folder"):
        labels(tmp_path / "labelled")
