"""Boxes as labels: in a list, in COCO's JSON, in the XML files of Pascal VOC."""

import json

import numpy as np
import pytest

from edge_ad.images.labelled import TestImage, layout_of, list_test_images, read_mask
from edge_ad_runtime.errors import ConfigError, ImageError
from edge_ad_runtime.images import write_png

BOX = (2.0, 3.0, 4.0, 5.0)  # top, left, height, width


@pytest.fixture
def images(tmp_path):
    for name in ("good.png", "bad.png"):
        write_png(tmp_path / name, np.zeros((20, 30, 3), np.uint8))
    return tmp_path


def check(found):
    by_name = {image.path.name: image for image in found}
    assert by_name["good.png"].kind == "good"
    assert by_name["bad.png"].kind == "dent"
    assert by_name["bad.png"].boxes == (BOX,)
    mask = read_mask(by_name["bad.png"], (20, 30, 3))
    assert mask.sum() == 4 * 5
    assert mask[2, 3]
    assert mask[5, 7]


def test_boxes_in_a_json_list(images):
    rows = [
        {"path": "good.png", "label": "good"},
        {"path": "bad.png", "label": "dent", "boxes": [list(BOX)]},
    ]
    (images / "list.json").write_text(json.dumps(rows))
    check(list_test_images(images / "list.json"))


def test_boxes_in_a_csv_list(images):
    text = 'path,label,boxes\ngood.png,good,\nbad.png,dent,"2 3 4 5"\n'
    (images / "list.csv").write_text(text)
    check(list_test_images(images / "list.csv"))
    (images / "list.csv").write_text(text.replace("2 3 4 5", "2 3 4"))
    with pytest.raises(ConfigError, match="a box is top, left, height and width"):
        list_test_images(images / "list.csv")


def test_cocos_boxes(images):
    pytest.importorskip("globox")
    content = {
        "images": [
            {"id": i, "file_name": name, "width": 30, "height": 20}
            for i, name in enumerate(["good.png", "bad.png"])
        ],
        "categories": [{"id": 7, "name": "dent"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 7, "bbox": [3, 2, 5, 4]}],
    }
    (images / "coco.json").write_text(json.dumps(content))
    assert layout_of(images / "coco.json") == "coco"
    check(list_test_images(images / "coco.json"))
    del content["annotations"][0]["bbox"]
    (images / "coco.json").write_text(json.dumps(content))
    with pytest.raises(ConfigError, match="labels that globox cannot read"):
        list_test_images(images / "coco.json")


VOC = (
    "<annotation><filename>{name}</filename><size><width>30</width><height>20</height>"
    "<depth>3</depth></size>{objects}</annotation>"
)
DENT = (
    "<object><name>dent</name><bndbox><xmin>3</xmin><ymin>2</ymin><xmax>8</xmax>"
    "<ymax>6</ymax></bndbox></object>"
)


def test_pascal_vocs_boxes(images):
    pytest.importorskip("globox")
    (images / "good.xml").write_text(VOC.format(name="good.png", objects=""))
    (images / "bad.xml").write_text(VOC.format(name="bad.png", objects=DENT))
    assert layout_of(images) == "voc"
    check(list_test_images(images))


def test_an_image_without_an_xml_file_is_not_taken_for_good(images):
    pytest.importorskip("globox")
    (images / "bad.xml").write_text(VOC.format(name="bad.png", objects=DENT))
    with pytest.raises(ConfigError, match="1 images have no XML file .good.png is the first"):
        list_test_images(images)


def test_a_box_outside_its_image_is_refused(images):
    image = TestImage(path=images / "bad.png", kind="dent", boxes=((50, 50, 2, 2),))
    with pytest.raises(ImageError, match="is not in the image, which is 20 x 30"):
        read_mask(image, (20, 30, 3))
