"""The check of the null hypothesis: are the latents of good parts what the test takes for noise?

The test is about latents that are standard normal and independent. Those of good images that were
not trained on are neither: some channels vary more than others, they depend on one another, a level
depends on those around it, and its tail is heavier than a chi-squared distribution's. Taken at its
word the test would reject nearly every good part. Two things are done about that, both with the
images that the training has only watched:

- Latents are divided by their standard deviation, for each scale and channel (a factor in the
  graph). Then the mean of the levels is 1.
- The *degrees of freedom* of a level, of which the test thinks that there are as many as channels,
  are lowered on all scales alike until none of the watched images is an alarm. So they say how
  much evidence a position is worth, whatever makes it less than it seems.

The images that are held out for the threshold have no part in this. So they tell what it is worth.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_ad.images.good import GoodImages
from edge_ad.networks.run import Run
from edge_ad_runtime.decision.a_contrario.counting import Counting
from edge_ad_runtime.decision.a_contrario.nfa import significance_by_tree
from edge_ad_runtime.errors import EdgeADWarning
from edge_ad_runtime.heads.a_contrario import level_name

_FAR_VARIANCE = 2.0  # of the latents before they are divided, or one over this
_LEAST_SHARE = 1e-4
_HALVINGS = 12  # of the logarithm of a share: to a thousandth

Levels = list[NDArray[np.float32]]
"""For each scale ``(N, rows, cols)``, finest first."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Latents:
    """What good images that were only watched in the training have shown, finest scale first.

    Attributes:
        grids: ``(S, 2)`` int64, the rows and columns of each scale.
        channels: ``(S,)`` int64, how many channels its latents have.
        means: ``(S,)`` float64, the mean of the levels. It is 1 but for rounding.
        variances: ``(S,)`` float64, the variance of the levels over positions and images. If the
            latents were normal and independent it would be 2 / channels.
        degrees: ``(S,)`` float64, the degrees of freedom that the test is to count.
        images: ``(1,)`` int64, how many images that was.
    """

    grids: NDArray[np.int64]
    channels: NDArray[np.int64]
    means: NDArray[np.float64]
    variances: NDArray[np.float64]
    degrees: NDArray[np.float64]
    images: NDArray[np.int64]


def levels_of(run: Run, images: GoodImages, scales: int) -> Levels:
    """The levels of images, as ``run`` gives them."""
    found: list[list[NDArray[np.float32]]] = [[] for _ in range(scales)]
    for _, batch in images.batches():
        outputs = run(batch)
        for scale, of_scale in enumerate(found):
            of_scale.append(outputs[level_name(scale)])
    return [np.concatenate(of_scale) for of_scale in found]


def describe_latents(
    levels: Levels, channels: Sequence[int], size: tuple[int, int], counting: Counting | None
) -> Latents:
    """What levels of watched images show.

    Args:
        levels: of all these images.
        channels: of each scale's latents.
        size: ``(height, width)`` of the images.
        counting: what the degrees of freedom are measured for. None takes the channels.
    """
    share = 1.0 if counting is None else _share_without_alarms(levels, channels, size, counting)
    return Latents(
        grids=np.array([each.shape[1:] for each in levels]),
        channels=np.array(channels),
        means=np.array([each.mean(dtype=np.float64) for each in levels]),
        variances=np.array([each.var(dtype=np.float64) for each in levels]),
        degrees=share * np.array(channels, np.float64),
        images=np.array([len(levels[0])]),
    )


def highest_score(
    levels: Levels, degrees: Sequence[float], size: tuple[int, int], counting: Counting
) -> float:
    """The largest -log10 NFA of all images. It is above 0 if one of them is an alarm."""
    images = zip(*levels, strict=True)
    return max(
        float(significance_by_tree(image, degrees, size, counting).max()) for image in images
    )


def _share_without_alarms(
    levels: Levels, channels: Sequence[int], size: tuple[int, int], counting: Counting
) -> float:
    """The largest share of the channels that leaves every image at 0 or below."""

    def is_silent(share: float) -> bool:
        return highest_score(levels, [share * c for c in channels], size, counting) <= 0

    if is_silent(1.0):
        return 1.0
    low, high = _LEAST_SHARE, 1.0  # with no evidence at all there is no alarm
    for _ in range(_HALVINGS):
        middle = float(np.sqrt(low * high))
        low, high = (middle, high) if is_silent(middle) else (low, middle)
    return low


def warn_of_variances(variances: Sequence[NDArray[np.floating]]) -> None:
    """Warn where latents of watched images vary far more or less than those of a good flow.

    Args:
        variances: of each scale the mean of z^2 of its channels, before they are divided by it.
    """
    for scale, each in enumerate(variances):
        mean = float(each.mean())
        if not 1 / _FAR_VARIANCE <= mean <= _FAR_VARIANCE:
            warnings.warn(
                f"latents of scale {scale} have a variance of {mean:.2f} on good images that were "
                f"not trained on (channels {each.min():.2f} to {each.max():.2f}), where a flow "
                "that has learned them has 1; they are divided by it, but less will be found: fit "
                "with more images, fewer --flow-steps, another --learning-rate or more --epochs",
                EdgeADWarning,
                stacklevel=3,
            )
