"""Labelled images to evaluate on, from the folders that the public data sets come in.

==============  =================================================================================
layout          what is looked for below the folder
==============  =================================================================================
mvtec           test/good, test/<kind>, ground_truth/<kind>/<name>_mask.png (MVTec AD)
btad            test/ok, test/ko, ground_truth/ko/<name>.png or .bmp (BTAD)
visa            Data/Images/Normal and Anomaly, Data/Masks/Anomaly/<name>.png (VisA), of which the
                official test split where ../split_csv/1cls.csv is there, else all images
magnetic-tile   MT_Free/Imgs/*.jpg, MT_<kind>/Imgs/*.jpg with the mask <name>.png beside it
frames          testing/frames/<video>/*.jpg, testing/test_frame_mask/<video>.npy, and for masks
                testing/test_pixel_mask/<video>.npy (ShanghaiTech Campus, mSTC)
folders         good and any other folders, with masks as in mvtec, if there are any
list            not a folder but a .csv or .json file: path, label, mask (optional), relative to it.
                The label "good" (or "normal", "ok", "0") is good, any other names a defect. In the
                mask's stead there may be boxes, [[top, left, height, width], ...] in pixels; in a
                .csv "top left height width; ..."
coco            COCO's .json file, with boxes; images without one are good
voc             Pascal VOC: Annotations/<name>.xml and JPEGImages, or both in one folder
==============  =================================================================================
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ad.images.box_labels import coco_images, is_coco, is_voc, voc_images
from edge_ad.images.label import Box, TestImage, read_mask
from edge_ad_runtime.errors import ConfigError, ImageError
from edge_ad_runtime.images import IMAGE_SUFFIXES
from edge_ad_runtime.regular_file import read_regular

__all__ = ["LAYOUTS", "TestImage", "layout_of", "list_test_images", "mask_names", "read_mask"]

_GOOD_LABELS = {"good", "normal", "ok", "0"}
_MOST_LIST_BYTES = 1_000_000_000
_NOT_KINDS = {"ground_truth", "train"}


def list_test_images(folder: Path | str, layout: str = "auto") -> list[TestImage]:
    """Images with labels.

    Args:
        folder: a folder laid out as the table above says, or a list.
        layout: a name from the table. ``auto`` takes the first that fits.

    Raises:
        ConfigError: there is no such folder or layout, or no good or no defective image in it.
    """
    folder = Path(folder)
    layout = layout_of(folder, layout)
    images = LAYOUTS[layout](folder)
    if {image.is_defective for image in images} != {True, False}:
        kinds = ", ".join(sorted({image.kind for image in images})) or "no labelled images"
        raise ConfigError(
            f"{folder}: as layout {layout!r}, needs good images (a folder 'good') and defective "
            f"ones (any other folder); found {kinds}"
        )
    return images


def layout_of(folder: Path, layout: str = "auto") -> str:
    """The layout that is taken: the given one, or the first of the table that fits.

    Raises:
        ConfigError: there is no such folder or layout.
    """
    if not folder.exists():
        raise ConfigError(f"{folder}: no such folder")
    if layout == "auto":
        return next(name for name, marker in _MARKERS.items() if marker(folder))
    if layout not in LAYOUTS:
        raise ConfigError(f"layout is {layout!r}; known are auto, {', '.join(LAYOUTS)}")
    return layout


def mask_names(image: Path) -> list[str]:
    """The names that a mask of an image may have in ``ground_truth/<kind>``."""
    return [f"{image.stem}{ending}" for ending in ("_mask.png", ".png", ".bmp")]


def _mvtec(folder: Path) -> list[TestImage]:
    return _kind_folders(folder / "test", folder / "ground_truth")


def _folders(folder: Path) -> list[TestImage]:
    return _kind_folders(folder, folder / "ground_truth")


def _kind_folders(root: Path, masks: Path) -> list[TestImage]:
    kinds = sorted(p for p in root.iterdir() if p.is_dir() and p.name not in _NOT_KINDS)
    return [
        TestImage(path=path, kind=_kind(kind.name), mask=_mask_of(path, masks / kind.name))
        for kind in kinds
        for path in _images(kind)
    ]


def _visa(folder: Path) -> list[TestImage]:
    split = folder.parent / "split_csv/1cls.csv"
    if split.is_file():
        rows = [row for row in _read_csv(split) if row["object"] == folder.name]
        return _listed(
            ({**row, "path": row["image"]} for row in rows if row["split"] == "test"), folder.parent
        )
    images, masks = folder / "Data/Images", folder / "Data/Masks/Anomaly"
    good = [TestImage(path=path, kind="good") for path in _images(images / "Normal")]
    return good + [
        TestImage(path=path, kind="anomaly", mask=_mask_of(path, masks))
        for path in _images(images / "Anomaly")
    ]


def _magnetic_tile(folder: Path) -> list[TestImage]:
    images = []
    for kind in sorted(folder.glob("MT_*/Imgs")):
        name = kind.parent.name.removeprefix("MT_")
        good = name == "Free"
        images += [
            TestImage(
                path=path,
                kind="good" if good else name,
                mask=None if good else path.with_suffix(".png"),
            )
            for path in sorted(kind.glob("*.jpg"))
        ]
    return images


def _frames(folder: Path) -> list[TestImage]:
    images = []
    for video in sorted(p for p in (folder / "testing/frames").iterdir() if p.is_dir()):
        labels = _load(folder / f"testing/test_frame_mask/{video.name}.npy")
        pixels = folder / f"testing/test_pixel_mask/{video.name}.npy"
        frames = _images(video)
        if len(frames) != len(labels):
            raise ConfigError(f"{video}: {len(frames)} frames, {len(labels)} labels for them")
        mask = pixels if pixels.is_file() else None
        images += [
            TestImage(path=path, kind="anomaly", mask=mask, mask_frame=i)
            if labels[i]
            else TestImage(path=path, kind="good")
            for i, path in enumerate(frames)
        ]
    return images


def _list(file: Path) -> list[TestImage]:
    try:
        rows = json.loads(_read_text(file)) if file.suffix == ".json" else _read_csv(file)
        return _listed(rows, file.parent)
    except OSError as exc:
        raise ConfigError(f"{file}: cannot be read: {exc.strerror}") from exc
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, csv.Error) as exc:
        raise ConfigError(
            f"{file}: not a list of path, label and mask (a .csv with that first line, or .json "
            f"objects): {exc!r}"
        ) from exc


def _listed(rows: Iterable[dict[str, Any]], root: Path) -> list[TestImage]:
    return [
        TestImage(
            path=root / row["path"],
            kind=_kind(str(row["label"])),
            mask=root / row["mask"] if row.get("mask") else None,
            boxes=_boxes(row.get("boxes") or []),
        )
        for row in rows
    ]


def _boxes(given: str | list[Any]) -> tuple[Box, ...]:
    """Boxes from a list of four numbers each, or from a text of them with semicolons between."""
    rows = given.split(";") if isinstance(given, str) else given
    boxes = [row.split() if isinstance(row, str) else row for row in rows]
    if wrong := [box for box in boxes if len(box) != 4]:
        raise ValueError(f"a box is top, left, height and width, found {wrong[0]}")
    return tuple((float(t), float(le), float(h), float(w)) for t, le, h, w in boxes)


LAYOUTS: dict[str, Callable[[Path], list[TestImage]]] = {
    "coco": coco_images,
    "list": _list,
    "magnetic-tile": _magnetic_tile,
    "visa": _visa,
    "frames": _frames,
    "mvtec": _mvtec,
    "btad": _mvtec,  # the same but for the names of the labels and of the masks
    "voc": voc_images,
    "folders": _folders,
}
_MARKERS: dict[str, Callable[[Path], bool]] = {  # in this order: the last one fits anything
    "coco": is_coco,
    "list": Path.is_file,
    "magnetic-tile": lambda folder: (folder / "MT_Free").is_dir(),
    "visa": lambda folder: (folder / "Data/Images").is_dir(),
    "frames": lambda folder: (folder / "testing/frames").is_dir(),
    "mvtec": lambda folder: (folder / "test").is_dir(),
    "voc": is_voc,
    "folders": lambda folder: True,
}


def _kind(label: str) -> str:
    return "good" if label.lower() in _GOOD_LABELS else label


def _images(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such folder")
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)


def _mask_of(image: Path, folder: Path) -> Path | None:
    candidates = (folder / name for name in mask_names(image))
    return next((path for path in candidates if path.is_file()), None)


def _read_csv(file: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO(_read_text(file), newline="")))


def _read_text(file: Path) -> str:
    return read_regular(file, most_bytes=_MOST_LIST_BYTES).decode("utf-8")


def _load(file: Path) -> NDArray[Any]:
    try:
        return np.asarray(np.load(file, mmap_mode="r", allow_pickle=False))
    except (OSError, ValueError) as exc:
        raise ImageError(f"not a readable .npy file: {exc}", path=file) from exc
