from pathlib import Path

from edge_ad.evaluation.labels_told import tell_labels
from edge_ad.images.labelled import TestImage, layout_of, list_test_images


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def told(root: Path) -> str:
    return "\n".join(tell_labels(root, layout_of(root), list_test_images(root)))


def test_the_layout_and_the_good_folders_are_named(tmp_path):
    root = touch(tmp_path, "test/0/a.png", "test/1/b.png", "ground_truth/1/b.png")
    assert told(root) == "layout mvtec: 1 good images (test/0), 1 defective (test/1)"


def test_a_folder_too_deep_is_told_where_the_masks_are(tmp_path):
    touch(tmp_path, "test/good/a.png", "test/dent/b.png", "ground_truth/dent/b_mask.png")
    assert f"give the folder above, {tmp_path}" in told(tmp_path / "test")


def test_masks_whose_names_fit_no_image_are_told_what_they_should_be(tmp_path):
    root = touch(tmp_path, "test/good/a.png", "test/dent/b.png", "ground_truth/dent/b-m.png")
    assert "of b.png there must be b_mask.png or b.png or b.bmp in" in told(root)
    assert "it holds b-m.png, for example" in told(root)


def test_some_missing_masks_are_counted(tmp_path):
    names = ("test/good/a.png", "test/dent/b.png", "test/dent/c.png", "ground_truth/dent/b.png")
    assert "1 of 2 defective images have no mask: of c.png" in told(touch(tmp_path, *names))


def test_boxes_are_said_to_be_filled(tmp_path):
    images = [
        TestImage(path=tmp_path / "a.png", kind="good"),
        TestImage(path=tmp_path / "b.png", kind="dent", boxes=((0, 0, 2, 2),)),
    ]
    lines = tell_labels(tmp_path, "list", images)
    assert lines[1].startswith("1 defective images are marked by boxes, which are filled")
