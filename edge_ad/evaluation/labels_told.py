"""What was taken for a label, in words: the layout, the good folders, why there are no masks."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from edge_ad.images.labelled import TestImage, mask_names

_MOST_FOLDERS = 6


def tell_labels(root: Path, layout: str, images: Sequence[TestImage]) -> tuple[str, ...]:
    """Lines for people.

    Args:
        root: the folder or the list that was given.
        layout: the layout that was taken for it.
        images: the labelled images.
    """
    good = [image for image in images if not image.is_defective]
    defective = [image for image in images if image.is_defective]
    first = (
        f"layout {layout}: {len(good)} good images ({_folders(root, good)}), {len(defective)} "
        f"defective ({_folders(root, defective)})"
    )
    return (first, *_of_masks(root, defective))


def _folders(root: Path, images: Sequence[TestImage]) -> str:
    found = Counter(image.path.parent for image in images)
    names = [str(p.relative_to(root)) if p.is_relative_to(root) else str(p) for p in found]
    rest = f" and {len(names) - _MOST_FOLDERS} more" if len(names) > _MOST_FOLDERS else ""
    return ", ".join(names[:_MOST_FOLDERS]) + rest


def _of_masks(root: Path, defective: Sequence[TestImage]) -> Iterator[str]:
    without = [image for image in defective if not image.is_marked]
    if boxed := sum(bool(image.boxes) for image in defective):
        yield (
            f"{boxed} defective images are marked by boxes, which are filled: pixel figures are "
            "lower than against outlines"
        )
    if not without:
        return
    count = "no defective image has" if len(without) == len(defective) else (
        f"{len(without)} of {len(defective)} defective images have no"
    )  # fmt: skip
    none = count.endswith("has")
    yield f"{count}{' a' if none else ''} mask{_why(root, without[0])}"


def _why(root: Path, image: TestImage) -> str:
    if not root.is_dir() or not image.path.is_relative_to(root):
        return ": the list names none"
    if (above := root.parent / "ground_truth").is_dir() and not (root / "ground_truth").is_dir():
        return f": {above} has masks; give the folder above, {shlex.quote(str(root.parent))}"
    folder = root / "ground_truth" / image.path.parent.name
    names = " or ".join(mask_names(image.path))
    if not (root / "ground_truth").is_dir():
        return f": there is no folder ground_truth in {root}"
    if not folder.is_dir():
        return f": there is no folder {folder}"
    there = sorted(path.name for path in folder.iterdir())[:1]
    found = f"it holds {there[0]}, for example" if there else "it is empty"
    return f": of {image.path.name} there must be {names} in {folder}; {found}"
