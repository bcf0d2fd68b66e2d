"""Rows of numbers in many files, read as if they were one array."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class FileRows:
    """Rows ``(N, D)`` of ``.npy`` files, one after the other. It is small, so it travels.

    Attributes:
        files: the files, each of some images.
        images: for each file the numbers of the images that count, in order.
        per_image: how many rows an image has.
        width: D.
    """

    files: tuple[Path, ...]
    images: tuple[tuple[int, ...], ...]
    per_image: int
    width: int

    @property
    def shape(self) -> tuple[int, int]:
        """``(N, D)``."""
        return len(self), self.width

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the numbers, which is always float32."""
        return np.dtype(np.float32)

    def __len__(self) -> int:
        return self.per_image * sum(map(len, self.images))

    def __getitem__(self, rows: slice | NDArray[np.int64]) -> NDArray[np.float32]:
        """The rows of a slice, or those of these numbers. Each file is opened once."""
        if isinstance(rows, slice):
            rows = np.arange(*rows.indices(len(self)))
        found = np.empty((len(rows), self.width), np.float32)
        at = np.searchsorted(self._starts, rows, side="right") - 1
        for number in np.unique(at).tolist():
            own = at == number
            image, row = np.divmod(rows[own] - self._starts[number], self.per_image)
            counted = np.array(self.images[number])[image]
            array = np.load(self.files[number], mmap_mode="r")
            found[own] = array[counted * self.per_image + row]
        return found

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        """The first row of each file, and the end."""
        return np.cumsum([0, *(self.per_image * len(images) for images in self.images)])

    def cut(self, parts: int) -> list[FileRows]:
        """The same rows in about so many parts of whole files, about alike in size."""
        bounds = np.linspace(0, len(self), parts + 1)
        edges = np.unique([np.abs(self._starts - bound).argmin() for bound in bounds])
        return [
            FileRows(self.files[a:b], self.images[a:b], self.per_image, self.width)
            for a, b in zip(edges[:-1], edges[1:], strict=True)
        ]
