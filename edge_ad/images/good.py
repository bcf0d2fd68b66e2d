"""Folders of good images to fit on."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from edge_ad_runtime.errors import FitError
from edge_ad_runtime.images import IMAGE_SUFFIXES


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
