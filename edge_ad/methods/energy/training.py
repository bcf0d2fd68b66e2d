"""The training of an energy on values that are computed once, and when it ends.

Some images are not trained on. After each epoch they say whether the energy has become better, and
the energy of the best epoch is kept. No image that tests a threshold or a detector has a say in it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge_ad.features.store import allocate
from edge_ad.images.good import GoodImages
from edge_ad.methods.energy.contrast import Contrast
from edge_ad.methods.energy.matching import Matching
from edge_ad.methods.energy.network import EnergyNetwork
from edge_ad.methods.energy.settings import EnergyConfig
from edge_ad.methods.epochs import train_by_epochs
from edge_ad_runtime.errors import FitError
from edge_ad_runtime.progress import ProgressBar

_STEPS = 25  # of an epoch, so that few images have as many as many
_WARM_UP = 20  # steps in which the learning rate rises
_LONGEST = 1.0  # gradients of the loss that are longer are shortened to it

Values = NDArray[np.float32]
"""``(N, C, h, w)``, of the images as they are continued beyond their borders."""


class Trainer(Protocol):
    """One way to train an energy."""

    def loss(self, good: Tensor, rng: np.random.Generator) -> Tensor:
        """The loss of a batch of good values ``(n, C, h, w)``, to be minimised."""

    def after_step(self) -> None:
        """What is to be done with the weights after each step."""

    def after_epoch(self) -> str:
        """Why the training of the last epoch has diverged, in a clause. It is empty if it has not.

        The loss itself is looked after elsewhere.
        """

    def watch(self, watched: Sequence[Tensor], rng: np.random.Generator) -> float:
        """How bad the energy is for batches of images that are not trained on."""

    def state(self) -> dict[str, Tensor]:
        """What the next epoch needs beside the weights, by name."""

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on with such a state."""


@dataclass(frozen=True, kw_only=True)
class Split:
    """The numbers of the images of a training: those trained on, and those watched."""

    trained: list[int]
    watched: list[int]


def split_images(count: int, settings: EnergyConfig) -> Split:
    """Draw by the seed what each of so many images is for. A single image is for both."""
    watched = min(max(round(count * settings.validation_fraction), 1), count - 1)
    order = np.random.default_rng(settings.seed).permutation(count).tolist()
    return Split(trained=sorted(order[watched:]), watched=sorted(order[:watched] or order))


@torch.inference_mode()
def values_of_images(network: EnergyNetwork, images: GoodImages, *, progress: bool) -> Values:
    """The values of all images, not yet normalised, in memory or in a scratch file: see `allocate`.

    Raises:
        FitError: a scratch file would not fit on its disk, or values are not finite.
    """
    device = network.level.device
    found: Values | None = None
    with ProgressBar[None](
        total=len(images), desc="values", unit="image", disable=not progress
    ) as bar:
        for start, batch in images.batches():
            values = network.values(torch.from_numpy(batch).to(device))
            if not torch.isfinite(values).all():
                raise FitError("the backbone gives features that are not finite")
            if found is None:
                found = allocate((len(images), *values.shape[1:]))
            found[start : start + len(batch)] = values.cpu().numpy()
            bar.update(len(batch))
    assert found is not None, "callers give at least one image"
    return found


def learn_normalisation(network: EnergyNetwork, values: Values, rows: Sequence[int]) -> None:
    """Let each channel have mean 0 and variance 1 over some images. ``values`` stay as they are.

    A channel that does not vary is only centred.
    """
    sums = [np.zeros(values.shape[1]) for _ in range(2)]
    for row in rows:
        one = values[row].astype(np.float64)
        sums[0] += one.mean(axis=(1, 2))
        sums[1] += np.square(one).mean(axis=(1, 2))
    mean, square = (total / len(rows) for total in sums)
    spread = np.sqrt(np.maximum(square - mean**2, 0))
    spread[spread < 1e-6 * np.abs(mean).max(initial=1.0)] = 1.0
    for buffer, learned in ((network.level, mean), (network.spread, spread)):
        buffer.copy_(torch.from_numpy(learned)[:, None, None])


def train_energy(
    network: EnergyNetwork, values: Values, settings: EnergyConfig, identity: str, *, progress: bool
) -> None:
    """Train the energy on the values of all images, of which some are only watched.

    Args:
        network: on the device that it is to be trained on. Its energy is left as of the best epoch.
        values: see `values_of_images`.
        settings: the settings.
        identity: what a checkpoint must have been made of, to go on from it.
        progress: show a bar with the loss, and how bad the energy is for watched images.

    Raises:
        FitError: the training diverges in its first epoch, or the checkpoint is of another one.

    Warns:
        EdgeADWarning: it diverges later. The energy of the best epoch until then is kept.
    """
    energy = network.energy.requires_grad_(True)
    epochs = _EnergyEpochs(network, values, settings)
    train_by_epochs(energy, epochs, settings, identity, progress=progress)
    energy.requires_grad_(False)


class _EnergyEpochs:
    """See `edge_ad.methods.epochs.Epochs`."""

    def __init__(self, network: EnergyNetwork, values: Values, settings: EnergyConfig) -> None:
        split = split_images(len(values), settings)
        self._network, self._values, self._settings = network, values, settings
        self._trained = split.trained
        self._watched = [_batch(network, values, [row]) for row in split.watched]
        self._trainer = _trainer(network, values, split.trained, settings)
        self.optimiser = torch.optim.Adam(network.energy.parameters(), lr=settings.learning_rate)

    def train(self, epoch: int) -> float:
        """The mean loss of the steps of an epoch. It is not finite if the loss of one is not."""
        rng = np.random.default_rng((self._settings.seed, 2, epoch))
        losses = []
        for step in range(_STEPS):
            loss = self._step(epoch * _STEPS + step, rng)
            if not math.isfinite(loss):
                return math.nan
            losses.append(loss)
        return float(np.mean(losses))

    def _step(self, done: int, rng: np.random.Generator) -> float:
        """The loss of a batch, or nan where a step would end in weights that are not finite."""
        settings, energy = self._settings, self._network.energy
        rate = settings.learning_rate * _share(done, settings.epochs * _STEPS)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        rows = rng.choice(self._trained, settings.batch_size).tolist()
        loss = self._trainer.loss(_batch(self._network, self._values, rows), rng)
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(energy.parameters(), _LONGEST)
        if not (torch.isfinite(loss) and torch.isfinite(norm)):
            return math.nan
        self.optimiser.step()
        self._trainer.after_step()
        return float(loss.detach())

    def watch(self) -> float:
        """See `Epochs.watch`. It is the same chance after each epoch."""
        return self._trainer.watch(self._watched, np.random.default_rng((self._settings.seed, 3)))

    def divergence(self, loss: float, of_watched: float) -> str:
        """See `Epochs.divergence`."""
        return self._trainer.after_epoch() or _not_finite(loss, of_watched, self._settings)

    def state(self) -> dict[str, Tensor]:
        """See `Epochs.state`."""
        return self._trainer.state()

    def restore(self, state: dict[str, Tensor]) -> None:
        """See `Epochs.restore`."""
        self._trainer.restore(state)


def _trainer(
    network: EnergyNetwork, values: Values, trained: list[int], settings: EnergyConfig
) -> Trainer:
    if settings.trainer == "dsm":
        return Matching(network.energy, network.margin, settings)
    return Contrast(network.energy, _Normalised(network, values, trained), settings)


class _Normalised(Sequence[Tensor]):
    """The normalised values of some images, each ``(C, h, w)``."""

    def __init__(self, network: EnergyNetwork, values: Values, rows: list[int]) -> None:
        self._network, self._values, self._rows = network, values, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, i: int) -> Tensor:  # type: ignore[override]  # no slices are taken
        return _batch(self._network, self._values, [self._rows[i]])[0]


def _share(step: int, steps: int) -> float:
    """The share of the learning rate in a step: it rises, then falls along a cosine."""
    rising = min(1.0, (step + 1) / _WARM_UP)
    return rising * 0.5 * (1 + math.cos(math.pi * step / steps))


def _not_finite(loss: float, of_watched: float, settings: EnergyConfig) -> str:
    if math.isfinite(loss) and math.isfinite(of_watched):
        return ""
    rate = settings.learning_rate
    return (
        f"the loss is not finite at learning_rate {rate:g}; give a smaller --learning-rate, such "
        f"as {rate / 5:.1g}"
    )


def _batch(network: EnergyNetwork, values: Values, rows: Sequence[int]) -> Tensor:
    """Normalised values of some images, ``(n, C, h, w)``, on the network's device."""
    x = torch.from_numpy(values[list(rows)]).to(network.level.device)
    return (x - network.level) / network.spread
