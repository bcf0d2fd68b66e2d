"""The training of the flow on features that are computed once, and when it ends.

Some images are not trained on. Half of them are watched. After each epoch their negative
log-likelihood says whether the flow has become better: it falls while the flow learns what good
parts have in common, and rises when the flow begins to know its images by heart. The flow of the
best epoch is kept. The other half is kept apart even from that, to check what the latents are
worth: see `edge_ad.methods.uflow.null`. No image that tests a threshold or a detector has a say in
any of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge_ad.features.store import allocate
from edge_ad.images.good import GoodImages
from edge_ad.methods.epochs import train_by_epochs
from edge_ad.methods.uflow.flow import Flow, negative_log_likelihood
from edge_ad.methods.uflow.network import UFlow
from edge_ad.methods.uflow.settings import UFlowConfig
from edge_ad_runtime.errors import FitError
from edge_ad_runtime.progress import ProgressBar

Features = list[NDArray[np.float32]]
"""For each scale ``(N, C, rows, cols)``, finest first."""

_LEAST_IMAGES = 3


@dataclass(frozen=True, kw_only=True)
class Split:
    """The numbers of the images of a training, by what they are for.

    Attributes:
        trained: are trained on.
        watched: decide when the training ends and which epoch is kept, and scale the latents.
        checked: have no part in the network at all.
    """

    trained: list[int]
    watched: list[int]
    checked: list[int]


def split_images(count: int, settings: UFlowConfig) -> Split:
    """Draw by the seed what each of so many images is for.

    Raises:
        FitError: there are too few images for all three.
    """
    if count < _LEAST_IMAGES:
        raise FitError(
            f"{count} images to learn from; a flow needs {_LEAST_IMAGES} at least, one to train "
            "on, one to watch and one to check, and 50 or more are wise"
        )
    spared = min(max(round(count * settings.validation_fraction), 2), count - 1)
    order = np.random.default_rng(settings.seed).permutation(count).tolist()
    half = spared // 2
    return Split(
        trained=sorted(order[spared:]),
        watched=sorted(order[:half]),
        checked=sorted(order[half:spared]),
    )


@torch.inference_mode()
def features_of_images(network: UFlow, images: GoodImages, *, progress: bool) -> Features:
    """The features of all images, in memory or in scratch files: see `allocate`.

    Raises:
        FitError: a scratch file would not fit on its disk, or features are not finite.
    """
    device = next(network.parameters()).device
    found: Features = []
    with ProgressBar[None](
        total=len(images), desc="features", unit="image", disable=not progress
    ) as bar:
        for start, batch in images.batches():
            scales = network.features(torch.from_numpy(batch).to(device))
            if not found:
                found = [allocate((len(images), *scale.shape[1:])) for scale in scales]
            for array, scale in zip(found, scales, strict=True):
                if not torch.isfinite(scale).all():
                    raise FitError("the backbone gives features that are not finite")
                array[start : start + len(batch)] = scale.cpu().numpy()
            bar.update(len(batch))
    return found


def train_flow(
    flow: Flow, features: Features, settings: UFlowConfig, identity: str, *, progress: bool
) -> None:
    """Train the flow on the features of all images, of which some are only watched.

    Args:
        flow: on the device that it is to be trained on. It is left as of its best epoch.
        features: see `features_of_images`. Those of checked images are not looked at.
        settings: the settings.
        identity: what a checkpoint must have been made of, to go on from it.
        progress: show a bar with the loss and the likelihood of the watched images.

    Raises:
        FitError: the loss is not finite, or the checkpoint is of another training.
    """
    epochs = _FlowEpochs(flow, features, settings)
    train_by_epochs(flow, epochs, settings, identity, progress=progress)


class _FlowEpochs:
    """See `edge_ad.methods.epochs.Epochs`."""

    def __init__(self, flow: Flow, features: Features, settings: UFlowConfig) -> None:
        self._flow, self._features, self._settings = flow, features, settings
        self._split = split_images(len(features[0]), settings)
        self.optimiser = torch.optim.Adam(
            flow.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )

    def train(self, epoch: int) -> float:
        """Every image once. The mean loss of a value.

        Raises:
            FitError: the loss is not finite.
        """
        rng = np.random.default_rng((self._settings.seed, epoch))
        order = rng.permutation(self._split.trained).tolist()
        total = sum(self._step(rows) for rows in _batches(order, self._settings.batch_size))
        return total / len(order) / _values(self._features)

    def _step(self, rows: Sequence[int]) -> float:
        """The sum of the losses of a batch, before the step."""
        losses = negative_log_likelihood(*self._flow(_batch(self._flow, self._features, rows)))
        loss = losses.mean()
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        longest = self._settings.clip_norm * _values(self._features)
        norm = torch.nn.utils.clip_grad_norm_(self._flow.parameters(), longest)
        if not torch.isfinite(loss) or not torch.isfinite(norm):
            raise _diverged(float(loss.detach()), self._settings)
        self.optimiser.step()
        return float(losses.detach().sum())

    def watch(self) -> float:
        """The mean negative log-likelihood of watched images.

        Raises:
            FitError: it is not finite.
        """
        settings = self._settings
        found = mean_nll(self._flow, self._features, self._split.watched, settings.batch_size)
        if not math.isfinite(found):
            raise _diverged(found, settings)
        return found

    def divergence(self, loss: float, of_watched: float) -> str:
        """See `Epochs.divergence`. A loss that is not finite has ended the training before."""
        return ""

    def state(self) -> dict[str, Tensor]:
        """See `Epochs.state`. There is none."""
        return {}

    def restore(self, state: dict[str, Tensor]) -> None:
        """See `Epochs.restore`."""


def _diverged(loss: float, settings: UFlowConfig) -> FitError:
    rate = settings.learning_rate
    return FitError(
        f"the training diverges at learning_rate {rate:g}: the loss is {loss:g}; give a smaller "
        f"--learning-rate, such as {rate / 5:.1g}"
    )


@torch.no_grad()
def mean_nll(flow: Flow, features: Features, rows: Sequence[int], batch_size: int) -> float:
    """The mean negative log-likelihood of some images, for each value and but for a constant.

    Standard normal latents that need no stretching have 0.5.
    """
    found = [
        negative_log_likelihood(*flow(_batch(flow, features, some)))
        for some in _batches(rows, batch_size)
    ]
    return float(torch.cat(found).mean()) / _values(features)


@torch.no_grad()
def latent_variances(flow: Flow, features: Features, rows: Sequence[int]) -> list[Tensor]:
    """For each scale the mean of z^2 of each channel over some images, ``(C, 1, 1)``."""
    sums = [torch.zeros(width, 1, 1, dtype=torch.float64) for width in flow.widths]
    for row in rows:
        latents, _ = flow(_batch(flow, features, [row]))
        for total, z in zip(sums, latents, strict=True):
            total += z[0].double().square().mean(dim=(1, 2), keepdim=True).cpu()
    return [total / len(rows) for total in sums]


def _batch(flow: Flow, features: Features, rows: Sequence[int]) -> list[Tensor]:
    device = next(flow.parameters()).device
    return [torch.from_numpy(array[list(rows)]).to(device) for array in features]


def _batches(rows: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def _values(features: Features) -> int:
    return sum(array[0].size for array in features)
