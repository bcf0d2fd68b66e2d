"""Images through a network, wherever it runs: in torch here, in an engine at export."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edge_ad_runtime.errors import FitError

Run = Callable[[NDArray[np.uint8]], dict[str, NDArray[Any]]]
"""Preprocessed images ``(N, H, W, 3)`` uint8 to named outputs, the batch's axis first."""


@dataclass(frozen=True)
class TorchRun:
    """A `Run` through a torch network. Two are equal if their network is the same one."""

    network: nn.Module

    @torch.inference_mode()
    def __call__(self, images: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """See `Run`.

        Raises:
            FitError: an output is NaN or infinite.
        """
        outputs = self.network(torch.from_numpy(images))
        found = {name: value.numpy() for name, value in outputs.items()}
        for name, value in found.items():
            if value.dtype.kind == "f" and not np.isfinite(value).all():
                raise FitError(f"the network gives NaN or infinite {name}; its weights are damaged")
        return found


def of_each(outputs: Mapping[str, NDArray[Any]]) -> Iterator[dict[str, NDArray[Any]]]:
    """The outputs of a batch image by image, without the batch's axis."""
    for values in zip(*outputs.values(), strict=True):
        yield dict(zip(outputs, values, strict=True))
