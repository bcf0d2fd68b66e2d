import json

import numpy as np
import pytest

from edge_ad.images.labelled import TestImage, list_test_images, read_mask
from edge_ad_runtime.errors import ConfigError, ImageError
from edge_ad_runtime.images import write_png


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def summary(root, layout="auto"):
    return [
        (
            str(image.path.relative_to(root)),
            image.kind,
            image.mask and str(image.mask.relative_to(root)),
        )
        for image in list_test_images(root, layout)
    ]


def test_mvtecs_layout_is_read_with_masks(parts):
    images = list_test_images(parts)
    assert len(images) == 4 + 4 * 2
    for image in images:
        assert image.is_defective == (image.kind != "good") == (image.mask is not None)
    assert images == list_test_images(parts, "mvtec")


def test_plain_good_and_bad_folders_are_read(tmp_path):
    touch(tmp_path, "good/1.png", "bad/1.png")
    assert summary(tmp_path) == [("bad/1.png", "bad", None), ("good/1.png", "good", None)]


def test_btads_ok_is_good_and_its_masks_are_found(tmp_path):
    touch(tmp_path, "train/ok/0.bmp", "test/ok/1.bmp", "test/ko/2.bmp", "ground_truth/ko/2.png")
    expected = [("test/ko/2.bmp", "ko", "ground_truth/ko/2.png"), ("test/ok/1.bmp", "good", None)]
    assert summary(tmp_path) == summary(tmp_path, "btad") == expected


def test_visa_is_read_whole_or_by_its_official_split(tmp_path):
    root = tmp_path / "candle"
    touch(root, "Data/Images/Normal/1.JPG", "Data/Images/Normal/2.JPG", "Data/Images/Anomaly/3.JPG",
          "Data/Masks/Anomaly/3.png")  # fmt: skip
    defective = ("Data/Images/Anomaly/3.JPG", "anomaly", "Data/Masks/Anomaly/3.png")
    normal = [(f"Data/Images/Normal/{i}.JPG", "good", None) for i in (1, 2)]
    assert summary(root) == [*normal, defective]
    touch(tmp_path, "split_csv/1cls.csv")
    (tmp_path / "split_csv/1cls.csv").write_text(
        "object,split,label,image,mask\n"
        "candle,train,normal,candle/Data/Images/Normal/1.JPG,\n"
        "candle,test,normal,candle/Data/Images/Normal/2.JPG,\n"
        "candle,test,anomaly,candle/Data/Images/Anomaly/3.JPG,candle/Data/Masks/Anomaly/3.png\n"
        "cashew,test,normal,cashew/Data/Images/Normal/9.JPG,\n"
    )
    assert summary(root) == [normal[1], defective]


def test_magnetic_tiles_masks_lie_beside_their_images(tmp_path):
    touch(tmp_path, "MT_Free/Imgs/1.jpg", "MT_Free/Imgs/1.png", "MT_Crack/Imgs/2.jpg")
    assert summary(tmp_path) == [
        ("MT_Crack/Imgs/2.jpg", "Crack", "MT_Crack/Imgs/2.png"),
        ("MT_Free/Imgs/1.jpg", "good", None),
    ]


def test_frames_are_labelled_one_by_one(tmp_path):
    touch(tmp_path, *(f"testing/frames/01/{i}.jpg" for i in range(3)))
    for folder, array in (
        ("test_frame_mask", np.array([0, 1, 0])),
        ("test_pixel_mask", np.arange(3 * 4 * 5).reshape(3, 4, 5) > 30),
    ):
        (tmp_path / "testing" / folder).mkdir()
        np.save(tmp_path / "testing" / folder / "01.npy", array)
    images = list_test_images(tmp_path)
    assert [image.kind for image in images] == ["good", "anomaly", "good"]
    assert read_mask(images[1], (4, 5, 3)).sum() == 9  # 31 to 39
    touch(tmp_path, "testing/frames/01/3.jpg")
    with pytest.raises(ConfigError, match="4 frames, 3 labels"):
        list_test_images(tmp_path)


@pytest.mark.parametrize("suffix", [".csv", ".json"])
def test_lists_are_read_relative_to_themselves(tmp_path, suffix):
    rows = [
        {"path": "a/1.png", "label": "good", "mask": ""},
        {"path": "b/2.png", "label": "dent", "mask": "m/2.png"},
    ]
    file = tmp_path / f"test{suffix}"
    if suffix == ".json":
        file.write_text(json.dumps(rows))
    else:
        file.write_text("path,label,mask\na/1.png,good,\nb/2.png,dent,m/2.png\n")
    images = list_test_images(file)
    assert images == [
        TestImage(path=tmp_path / "a/1.png", kind="good"),
        TestImage(path=tmp_path / "b/2.png", kind="dent", mask=tmp_path / "m/2.png"),
    ]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "image,class\nx,y\n",
        "[1, 2]",
        '{"path": 3}',
        "[" * 100_000,
        "path,label\n" + "x" * 200_000,
        "path,label\nx,\0\n\0",
        "path,label\n\ud800,good\n",
    ],
    ids=repr,
)
@pytest.mark.parametrize("suffix", [".csv", ".json"])
def test_what_is_no_list_is_refused(tmp_path, content, suffix):
    file = tmp_path / f"test{suffix}"
    file.write_bytes(content.encode("utf-8", "surrogatepass"))
    with pytest.raises(ConfigError, match="test"):
        list_test_images(file)


def test_a_folder_without_both_labels_is_refused(tmp_path):
    touch(tmp_path, "good/1.png", "bad/readme.txt")
    with pytest.raises(ConfigError, match=r"needs good images .* found good"):
        list_test_images(tmp_path)
    with pytest.raises(ConfigError, match="no such folder"):
        list_test_images(tmp_path / "none")
    with pytest.raises(ConfigError, match="layout is 'yolo'; known are auto, coco, list"):
        list_test_images(tmp_path, "yolo")


def test_a_mask_of_another_size_is_refused(tmp_path):
    write_png(tmp_path / "m.png", np.full((4, 6, 3), 255, np.uint8))
    image = TestImage(path=tmp_path / "i.png", kind="dent", mask=tmp_path / "m.png")
    assert read_mask(image, (4, 6, 3)).all()
    with pytest.raises(ImageError, match=r"the mask is \(4, 6\), its image \(6, 4\)"):
        read_mask(image, (6, 4, 3))
