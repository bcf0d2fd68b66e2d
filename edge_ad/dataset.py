"""Folders of images: what to fit on, and what to evaluate on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.errors import ConfigError, FitError, ImageError
from edge_ad_runtime.images import IMAGE_SUFFIXES, read_image


def list_images(images: Path | str | Iterable[Path | str], pattern: str = "*") -> list[Path]:
    """Image files to use, sorted.

    Args:
        images: a folder, whose images are taken (not those of its subfolders), or the files.
        pattern: glob on the names in a folder, such as ``*.jpg``.

    Raises:
        FitError: no such folder, or no images in it; says what is there.
    """
    if not isinstance(images, str | Path):
        return sorted(Path(image) for image in images)
    folder = Path(images)
    if not folder.is_dir():
        raise FitError(f"{folder}: no such folder")
    entries = sorted(folder.iterdir())
    found = [p for p in entries if p.suffix.lower() in IMAGE_SUFFIXES and p.match(pattern)]
    if not found:
        subfolders = [p.name for p in entries if p.is_dir()]
        hint = f"; it holds the folders {', '.join(subfolders[:5])}" if subfolders else ""
        raise FitError(
            f"{folder}: no images named {pattern} directly in this folder{hint} "
            f"(looked for {', '.join(sorted(IMAGE_SUFFIXES))})"
        )
    return found


@dataclass(frozen=True, kw_only=True)
class TestImage:
    """One image to evaluate on.

    Attributes:
        path: the image.
        kind: its folder's name: ``good``, or a kind of defect.
        mask: a file, nonzero where defective; None for good images, or where there is none.
    """

    __test__ = False  # not a test case, whatever pytest thinks of the name

    path: Path
    kind: str
    mask: Path | None = None

    @property
    def is_defective(self) -> bool:
        """Whether the label says defective."""
        return self.kind != "good"


def list_test_images(folder: Path | str) -> list[TestImage]:
    """Images with labels, from a folder in MVTec AD's layout or a plain one.

    MVTec: ``test/good``, ``test/<kind>``, ``ground_truth/<kind>/<name>_mask.png``, below the folder
    itself. Plain: ``good`` and any other folders (``bad``, say), no masks needed; masks are looked
    for in ``ground_truth`` beside them.

    Raises:
        ConfigError: neither layout, or no good or no defective images in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such folder")
    root = folder / "test" if (folder / "test").is_dir() else folder
    masks = folder / "ground_truth"
    kinds = sorted(p for p in root.iterdir() if p.is_dir() and p.name not in _NOT_KINDS)
    images = [
        TestImage(path=path, kind=kind.name, mask=_mask_of(path, masks / kind.name))
        for kind in kinds
        for path in sorted(kind.iterdir())
        if path.suffix.lower() in IMAGE_SUFFIXES
    ]
    labels = {image.is_defective for image in images}
    if labels != {True, False}:
        found = ", ".join(kind.name for kind in kinds) or "no folders"
        raise ConfigError(
            f"{root}: needs a folder 'good' and at least one folder of defects, each with images; "
            f"found {found}"
        )
    return images


_NOT_KINDS = {"ground_truth", "train"}


def _mask_of(image: Path, folder: Path) -> Path | None:
    candidates = (folder / f"{image.stem}{ending}.png" for ending in ("_mask", ""))
    return next((path for path in candidates if path.is_file()), None)


def read_mask(path: Path, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """A ``(H, W)`` boolean mask; must have the image's ``shape``."""
    mask = read_image(path).max(axis=2) > 0
    if mask.shape != shape[:2]:
        raise ImageError(f"the mask is {mask.shape}, its image {tuple(shape[:2])}", path=path)
    return np.asarray(mask)
