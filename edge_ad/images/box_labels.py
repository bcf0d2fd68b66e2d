"""Labels that are boxes: COCO's JSON and the XML files of Pascal VOC, which globox reads.

A box is filled: pixel figures against boxes are lower than those against outlines. An image without
a box is good. Its kind of defect is that of its first box.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edge_ad.images.label import Box, TestImage
from edge_ad_runtime.errors import ConfigError
from edge_ad_runtime.images import IMAGE_SUFFIXES

_MISSING = "labels of COCO and Pascal VOC need globox: pip install 'edge-ad[labels]'"


def is_coco(file: Path) -> bool:
    """Whether a file is a JSON object with images and annotations."""
    if not file.is_file() or file.suffix != ".json":
        return False
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False  # whoever reads it says why
    return isinstance(content, dict) and {"images", "annotations"} <= content.keys()


def is_voc(folder: Path) -> bool:
    """Whether there are XML files in the folder, or in its folder Annotations."""
    return folder.is_dir() and any(_annotations(folder).glob("*.xml"))


def coco_images(file: Path) -> list[TestImage]:
    """The images of a COCO file, which lie beside it, or in a folder ``images`` there or above.

    Raises:
        ConfigError: globox is not installed, or the file is no COCO.
    """
    roots = [file.parent, file.parent / "images", file.parent.parent / "images"]
    return [_image(each, roots) for each in _read("from_coco", file)]


def voc_images(folder: Path) -> list[TestImage]:
    """The images of the XML files in a folder or in its ``Annotations``.

    Raises:
        ConfigError: globox is not installed, a file is no Pascal VOC, or an image has no XML file,
            so that nothing is known of it.
    """
    annotations = _annotations(folder)
    roots = [folder / "JPEGImages", folder, folder / "images"]
    found = [_image(each, roots) for each in _read("from_pascal_voc", annotations)]
    known = {image.path for image in found}
    beside = [p for root in roots if root.is_dir() for p in sorted(root.iterdir())]
    others = [p for p in beside if p.suffix.lower() in IMAGE_SUFFIXES and p not in known]
    if others:
        raise ConfigError(
            f"{folder}: {len(others)} images have no XML file ({others[0].name} is the first); an "
            "XML file without an object says that a part is good"
        )
    return found


def _annotations(folder: Path) -> Path:
    below = folder / "Annotations"
    return below if below.is_dir() else folder


def _read(reader: str, path: Path) -> list[Any]:
    try:
        from globox import AnnotationSet
        from globox.errors import ParsingError
    except ImportError as exc:
        raise ConfigError(_MISSING) from exc
    try:
        return sorted(getattr(AnnotationSet, reader)(path), key=lambda each: str(each.image_id))
    except (ParsingError, OSError, ValueError, TypeError, KeyError, AssertionError) as exc:
        raise ConfigError(f"{path}: labels that globox cannot read: {exc!r}") from exc


def _image(annotation: Any, roots: list[Path]) -> TestImage:
    places = [root / annotation.image_id for root in roots]
    path = next((place for place in places if place.is_file()), places[0])
    boxes = tuple(_box(box) for box in annotation.boxes)
    return TestImage(path=path, kind=annotation.boxes[0].label if boxes else "good", boxes=boxes)


def _box(box: Any) -> Box:
    left, top, width, height = box.ltwh
    return top, left, height, width
