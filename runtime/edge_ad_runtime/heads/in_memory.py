"""A head's arrays in memory, so that fitting and exporting judge with the device's own code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.artifact.npy import Shaped
from edge_ad_runtime.errors import ShapeError


class InMemory:
    """`HeadFiles` that are not written yet.

    Args:
        arrays: the arrays by the name of their file.
    """

    def __init__(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self._arrays = arrays

    def array(self, name: str, expected: Shaped) -> NDArray[Any]:
        """See `HeadFiles.array`.

        Raises:
            ShapeError: the array has another shape.
        """
        found = self._arrays[name]
        if found.shape != expected.shape:
            raise ShapeError(f"{name} has shape {found.shape}, the head needs {expected.shape}")
        return found

    def slices(self, name: str, expected: Shaped) -> SlicesInMemory:
        """See `HeadFiles.slices`.

        Raises:
            ShapeError: the array has another shape.
        """
        return SlicesInMemory(self.array(name, expected))

    def read(self, name: str) -> NDArray[np.uint8]:
        """See `HeadFiles.read`."""
        return self._arrays[name]

    def path(self, name: str) -> Path:
        """See `HeadFiles.path`."""
        return Path(name)


class SlicesInMemory:
    """See `edge_ad_runtime.heads.Slices`."""

    def __init__(self, values: NDArray[Any]) -> None:
        self._values = values

    def read(self, i: int) -> NDArray[Any]:
        """See `Slices.read`."""
        return np.asarray(self._values[i])

    def close(self) -> None:
        """See `Slices.close`. There is nothing to close."""
