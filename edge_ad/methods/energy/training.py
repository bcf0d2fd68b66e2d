"""The training of an energy on values that are computed once, and when it ends.

Some images are not trained on. After each epoch they say whether the energy has become better, and
the energy of the best epoch is kept. No image that tests a threshold or a detector has a say in it.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge_ad.features.store import allocate
from edge_ad.images.good import GoodImages
from edge_ad.methods.checkpoint import Progress, copied_state, load_progress, save_progress
from edge_ad.methods.energy.contrast import Contrast
from edge_ad.methods.energy.matching import Matching
from edge_ad.methods.energy.network import EnergyNetwork
from edge_ad.methods.energy.settings import EnergyConfig
from edge_ad_runtime.errors import EdgeADWarning, FitError
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
    split = split_images(len(values), settings)
    energy = network.energy.requires_grad_(True)
    trainer = _trainer(network, values, split.trained, settings)
    optimiser = torch.optim.Adam(energy.parameters(), lr=settings.learning_rate)
    checkpoint = None if settings.checkpoint is None else Path(settings.checkpoint)
    state = Progress(epoch=0, best=math.inf, best_epoch=0, best_state=copied_state(energy))
    if checkpoint is not None and checkpoint.exists():
        state = load_progress(checkpoint, energy, optimiser, identity)
        trainer.restore(state.others)
    watched = [_batch(network, values, [row]) for row in split.watched]
    bar = ProgressBar[None](
        total=settings.epochs,
        initial=state.epoch,
        desc="training",
        unit="epoch",
        disable=not progress,
    )
    with bar:
        while state.epoch < settings.epochs and not state.is_over(settings.patience):
            rng = np.random.default_rng((settings.seed, 2, state.epoch))  # the same after a restart
            loss = _epoch(trainer, optimiser, network, values, split.trained, state, rng, settings)
            of_watched = trainer.watch(watched, np.random.default_rng((settings.seed, 3)))
            reason = trainer.after_epoch() or _not_finite(loss, of_watched, settings)
            if reason:
                _tell_of_divergence(reason, state)
                break
            state.epoch += 1
            if of_watched < state.best:
                state.best, state.best_epoch, state.best_state = (
                    of_watched, state.epoch, copied_state(energy),
                )  # fmt: skip
            state.others = trainer.state()
            if checkpoint is not None:
                save_progress(checkpoint, energy, optimiser, state, identity)
            bar.set_postfix(loss=f"{loss:.4f}", watched=f"{of_watched:.4f}", best=state.best_epoch)
            bar.update()
    energy.load_state_dict(state.best_state)
    energy.requires_grad_(False)


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


def _epoch(
    trainer: Trainer,
    optimiser: torch.optim.Optimizer,
    network: EnergyNetwork,
    values: Values,
    trained: list[int],
    state: Progress,
    rng: np.random.Generator,
    settings: EnergyConfig,
) -> float:
    """The mean loss of the steps of an epoch. It is not finite if the loss of one is not."""
    losses = []
    for step in range(_STEPS):
        done = state.epoch * _STEPS + step
        rate = settings.learning_rate * _share(done, settings.epochs * _STEPS)
        for group in optimiser.param_groups:
            group["lr"] = rate
        rows = rng.choice(trained, settings.batch_size).tolist()
        loss = trainer.loss(_batch(network, values, rows), rng)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(network.energy.parameters(), _LONGEST)
        losses.append(float(loss.detach()))
        if not (math.isfinite(losses[-1]) and math.isfinite(float(norm))):
            return math.nan
        optimiser.step()
        trainer.after_step()
    return float(np.mean(losses))


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


def _tell_of_divergence(reason: str, state: Progress) -> None:
    """Say that the training ends here, and what is kept.

    Raises:
        FitError: nothing is there to be kept.
    """
    if state.best_epoch == 0:
        raise FitError(f"the training diverges in its first epoch: {reason}")
    warnings.warn(
        f"the training diverges in epoch {state.epoch + 1}, and the energy of epoch "
        f"{state.best_epoch} is kept: {reason}",
        EdgeADWarning,
        stacklevel=2,
    )


def _batch(network: EnergyNetwork, values: Values, rows: Sequence[int]) -> Tensor:
    """Normalised values of some images, ``(n, C, h, w)``, on the network's device."""
    x = torch.from_numpy(values[list(rows)]).to(network.level.device)
    return (x - network.level) / network.spread
