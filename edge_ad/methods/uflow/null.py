"""The check of the null hypothesis: are the latents of good parts what the test takes for noise?

The test is about latents that are standard normal and independent. Those of good images that were
not trained on are neither: some channels vary more than others, they depend on one another, a level
depends on those around it, and its tail is heavier than a chi-squared distribution's. Taken at its
word the test would reject nearly every good part. Four things are done about that:

- A latent counts for three standard deviations at most (``latent_limit``). A defect shows in many
  channels of many positions, and a good part that is new to the flow often in one channel of one
  position. (Of normal latents one in 370 is farther.)
- Latents are divided by their standard deviation, for each scale and channel, on the images that
  the training has watched (a factor in the graph).
- The *degrees of freedom* of a scale's levels, which the test takes to be as many as channels, are
  how many independent normal numbers would let their mean vary as much as the levels of good images
  do: 2 (mean)^2 / variance (Satterthwaite 1946).
- What is then left, as levels depend on those around them and have heavier tails, is *priced*:
  log10 of the number of false alarms is raised until at most 5% of good parts are an alarm, with
  90% confidence.

The degrees of freedom are learned from the *checked* images, which have had no part in the network,
and the price from all m images that were not trained on, checked and watched. (Watched images chose
one of some fifty epochs by their mean likelihood, and that is little to fit oneself to.)

The price is a tolerance limit (Wilks 1941): the r-th smallest of the m prices that the images need,
for the least r at which more than 5% of good parts would need more in at most one fit of ten. It
takes 45 images to say that, and with fewer the highest price is taken. A new good part then needs
more with a probability of 1 / (m + 1), if the images are exchangeable (as in conformal prediction,
see `edge_ad.fitting.calibrate`), but in one fit of ten that is more than 1 - 0.1^(1 / m) of them:
21% with 10 images, 11% with 20, 6% with 40. They are not quite exchangeable, since the same images
have set the degrees of freedom and the scale of the latents. The images that are held out for the
threshold have no part in any of this, and tell what the price is worth.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edge_ad.images.good import GoodImages
from edge_ad.networks.run import Run, of_each
from edge_ad_runtime.artifact.a_contrario_records import AContrarioRecord
from edge_ad_runtime.errors import EdgeADWarning
from edge_ad_runtime.heads import Opening, open_head
from edge_ad_runtime.heads.a_contrario import level_name
from edge_ad_runtime.heads.in_memory import InMemory

_FAR_VARIANCE = 2.0  # of the latents before they are divided, or one over this
_ALARMS, _CONFIDENCE = 0.05, 0.9  # the share of good parts that may be alarms, and how surely
_LEAST_DEGREES = 1e-6

Outputs = list[dict[str, NDArray[np.float32]]]
"""The network's outputs for each image."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Latents:
    """What good images that have no part in the network have shown, finest scale first.

    Attributes:
        grids: ``(S, 2)`` int64, the rows and columns of each scale.
        channels: ``(S,)`` int64, how many channels its latents have.
        means: ``(S,)`` float64, the mean of the levels. It is near 1.
        variances: ``(S,)`` float64, the variance of the levels over positions and images. If the
            latents were normal and independent it would be 2 / channels.
        degrees: ``(S,)`` float64, the degrees of freedom that the test is to count.
        price: ``(1,)`` float64, the decades that log10 of the number of false alarms is raised by.
        images: ``(1,)`` int64, how many images have set the price.
    """

    grids: NDArray[np.int64]
    channels: NDArray[np.int64]
    means: NDArray[np.float64]
    variances: NDArray[np.float64]
    degrees: NDArray[np.float64]
    price: NDArray[np.float64]
    images: NDArray[np.int64]

    def with_measured_degrees(self) -> Latents:
        """The same with as many degrees of freedom as explain the variances, or all channels."""
        found = 2 * self.means**2 / np.maximum(self.variances, 1e-12)
        return replace(self, degrees=np.clip(found, _LEAST_DEGREES, self.channels))


def look_at_latents(
    run: Run, images: GoodImages, channels: Sequence[int]
) -> tuple[Latents, Outputs]:
    """What images show, with the channels as degrees of freedom, and the network's outputs.

    Args:
        run: the network.
        images: good images that have no part in it.
        channels: of each scale's latents, finest first.
    """
    outputs: Outputs = []
    for _, batch in images.batches():
        outputs += of_each(run(batch))
    levels = [
        np.stack([each[level_name(scale)] for each in outputs]).astype(np.float64)
        for scale in range(len(channels))
    ]  # (N, rows, cols) each
    latents = Latents(
        grids=np.array([each.shape[1:] for each in levels]),
        channels=np.array(channels),
        means=np.array([each.mean() for each in levels]),
        variances=np.array([each.var() for each in levels]),
        degrees=np.array(channels, np.float64),
        price=np.zeros(1),
        images=np.array([len(outputs)]),
    )
    return latents, outputs


def price_of(record: AContrarioRecord, outputs: Outputs, size: tuple[int, int]) -> float:
    """The decades that leave at most 5% of good parts as alarms. They are 0 or more.

    Args:
        record: the head without a price.
        outputs: the network's, for each image.
        size: ``(height, width)`` of the images.
    """
    from scipy.stats import binom  # scipy takes a while

    head = open_head(record, InMemory({}), Opening(size=size))
    scores = sorted(head.judge(each, with_map=False).score for each in outputs)
    count = len(scores)
    # At most 5% of parts need more than the r-th of m with the probability that r - 1 or fewer of m
    # parts are among the 95% that need least.
    rank = int(binom.ppf(_CONFIDENCE, count, 1 - _ALARMS)) + 1
    return max(0.0, scores[min(rank, count) - 1])


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
