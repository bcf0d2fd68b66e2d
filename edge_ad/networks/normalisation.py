"""How a network wants its images: what is subtracted from each colour, and what that is divided by.

Every backbone has its ``normalisation``, because weights are of no use without the one that they
were trained with.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Normalisation(NamedTuple):
    """(grey level - mean) / std, for each colour, red first.

    Attributes:
        mean: ``(3,)`` in grey levels of 0 to 255.
        std: ``(3,)`` in the same unit.
    """

    mean: Tensor
    std: Tensor


def of_unit_range(mean: Sequence[float], std: Sequence[float]) -> Normalisation:
    """The normalisation whose mean and standard deviation are said of colours from 0 to 1."""
    return Normalisation(255 * torch.tensor(mean), 255 * torch.tensor(std))


IMAGENET = of_unit_range(IMAGENET_MEAN, IMAGENET_STD)
"""What torchvision's networks were trained with."""
