"""Images that a folder's layout labels as good or defective.

A folder is labelled if it holds no images itself and has a folder ``good`` (or ``ok`` or
``normal``) with others beside it, or if its folder ``test`` is such a one (MVTec AD's layout).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from edge_ad_runtime.images.folder import IMAGE_SUFFIXES, expand_folders

_GOOD = {"good", "normal", "ok"}
_NO_LABELS = {"ground_truth", "train"}


@dataclass(frozen=True, kw_only=True)
class ListedImage:
    """An image file and its label.

    Attributes:
        path: the file.
        label: ``good``, or the name of the folder of defective images that it is in, or None if it
            has no label.
    """

    path: Path
    label: str | None


def list_labelled(paths: Iterable[Path]) -> Iterator[ListedImage]:
    """Give each file as it is, and in place of a folder the images in it, and their labels.

    Raises:
        ConfigError: a folder has no images.
    """
    for path in paths:
        labelled = _label_folders(path) or _label_folders(path / "test")
        for folder in labelled or [path]:
            label = None if not labelled else "good" if _is_good(folder) else folder.name
            for image in expand_folders([folder]):
                yield ListedImage(path=image, label=label)


def _label_folders(folder: Path) -> list[Path]:
    """The folders that are labels, sorted. There are none if the folder is not labelled."""
    try:
        entries = sorted(folder.iterdir()) if folder.is_dir() else []
        if any(entry.suffix.lower() in IMAGE_SUFFIXES for entry in entries):
            return []
        folders = [entry for entry in entries if entry.is_dir() and entry.name not in _NO_LABELS]
    except (OSError, ValueError):  # reading it as an image says why
        return []
    return folders if any(map(_is_good, folders)) else []


def _is_good(folder: Path) -> bool:
    return folder.name.lower() in _GOOD
