"""Good images to fit on: which files, and in batches as the network takes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ad.images.same_part import thumbnail
from edge_ad_runtime.errors import FitError, ImageError
from edge_ad_runtime.images import IMAGE_SUFFIXES, RGBImage, read_image
from edge_ad_runtime.images.preprocess import Preprocessing
from edge_ad_runtime.progress import ProgressBar

_BATCH = 8
_KEPT_BYTES = 250_000_000  # of preprocessed images, which are then read once


class GoodImages:
    """Good images, read and preprocessed one batch at a time.

    Args:
        paths: the files.
        preprocessing: how they are brought to the network's input size.
        screened: whether outliers have already been left out, so that none need be looked for.
        pixels: the preprocessed images, ``(N, H, W, 3)`` uint8, where they are already in memory.
        parts: ``(N,)``, the number of the part that each image shows, see
            `edge_ad.images.same_part`. With None each shows another.

    Attributes:
        parts: as given.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        preprocessing: Preprocessing,
        *,
        screened: bool = False,
        pixels: NDArray[np.uint8] | None = None,
        parts: NDArray[np.int64] | None = None,
    ) -> None:
        self.paths = list(paths)
        self.preprocessing = preprocessing
        self.screened = screened
        self.parts = np.arange(len(self.paths)) if parts is None else parts
        self._pixels = pixels
        self._left: tuple[object, NDArray[Any]] | None = None

    @classmethod
    def in_memory(cls, pixels: NDArray[np.uint8], preprocessing: Preprocessing) -> GoodImages:
        """The preprocessed images of a fit, ``(N, H, W, 3)``, which were screened at the fit."""
        paths = [Path(f"image {i}") for i in range(len(pixels))]
        return cls(paths, preprocessing, screened=True, pixels=pixels)

    def __len__(self) -> int:
        return len(self.paths)

    def only(self, rows: Sequence[int]) -> GoodImages:
        """Some of the images, in that order."""
        return GoodImages(
            [self.paths[row] for row in rows],
            self.preprocessing,
            screened=self.screened,
            pixels=None if self._pixels is None else self._pixels[list(rows)],
            parts=self.parts[list(rows)],
        )

    def thumbnails(self, *, progress: bool) -> NDArray[np.float32]:
        """The `thumbnail` of each image, ``(N, d)``. Images that fit into memory are kept there.

        Raises:
            ImageError: see `batches`.
        """
        small: list[NDArray[np.float32]] = []
        kept: NDArray[np.uint8] | None = None
        with ProgressBar[None](
            total=len(self), desc="images", unit="image", disable=not progress
        ) as bar:
            for start, batch in self.batches():
                if start == 0 and len(self) * batch[0].nbytes <= _KEPT_BYTES:
                    kept = np.empty((len(self), *batch.shape[1:]), np.uint8)
                if kept is not None:
                    kept[start : start + len(batch)] = batch
                small += [thumbnail(image) for image in batch]
                bar.update(len(batch))
        self._pixels = kept
        return np.stack(small)

    def batches(self) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """For each batch the number of its first image, and the batch ``(n, H, W, 3)``.

        Raises:
            ImageError: a file cannot be read. The error names it.
        """
        for start in range(0, len(self.paths), _BATCH):
            chunk = slice(start, start + _BATCH)
            if self._pixels is not None:
                yield start, self._pixels[chunk]
                continue
            images = [load_preprocessed(path, self.preprocessing) for path in self.paths[chunk]]
            yield start, np.stack(images)

    def leave(self, run: object, values: NDArray[Any]) -> None:
        """Keep what training has computed of these images, for whoever asks through ``run``."""
        self._left = (run, values)

    def take(self, run: object) -> NDArray[Any] | None:
        """Hand over what was left for ``run``, which works once. None if nothing was left."""
        if self._left is None or self._left[0] != run:
            return None
        _, values = self._left
        self._left = None
        return values


def load_preprocessed(path: Path, preprocessing: Preprocessing) -> RGBImage:
    """Read one file and preprocess it.

    Raises:
        ImageError: the file cannot be read. The error names it.
    """
    image = read_image(path)
    try:
        return preprocessing.apply(image)
    except ImageError as exc:
        raise ImageError(str(exc), path=path) from exc


def list_images(images: Path | str | Iterable[Path | str], pattern: str = "*") -> list[Path]:
    """The image files to use, sorted.

    Args:
        images: a folder, whose images are taken (not those of its subfolders), or the files.
        pattern: a glob for the names in a folder, such as ``*.jpg``.

    Raises:
        FitError: there is no such folder, or no image in it. The error says what is there.
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
