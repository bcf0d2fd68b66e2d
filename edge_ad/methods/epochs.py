"""A training by epochs: which of them is kept, when it ends, and where it goes on.

After each epoch some images that are not trained on are watched. They say whether the network has
become better. It ends as it was after the best epoch.
"""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from edge_ad.methods.checkpoint import Progress, copied_state, load_progress, save_progress
from edge_ad_runtime.errors import EdgeADWarning, FitError
from edge_ad_runtime.progress import ProgressBar


class Epochs(Protocol):
    """What a method does in an epoch of its training."""

    @property
    def optimiser(self) -> torch.optim.Optimizer:
        """Adam, of all parameters of the network that is trained."""

    def train(self, epoch: int) -> float:
        """Train for one epoch.

        Args:
            epoch: how many there were before. All chance follows from it and the seed, so that a
                training that was interrupted ends as one that was not.

        Returns:
            The mean loss.
        """

    def watch(self) -> float:
        """How bad the network is for images that are not trained on."""

    def divergence(self, loss: float, of_watched: float) -> str:
        """Why the epoch has diverged, in a clause. It is empty if it has not."""

    def state(self) -> dict[str, Tensor]:
        """What the next epoch needs beside the weights, by name."""

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on with such a state."""


class Limits(Protocol):
    """The settings of a method that say when its training ends and where its state is kept."""

    @property
    def epochs(self) -> int:
        """The most epochs."""

    @property
    def patience(self) -> int:
        """The training ends after so many epochs without a better one."""

    @property
    def checkpoint(self) -> str | None:
        """The file that is written after each epoch, and that the training goes on from."""


def train_by_epochs(
    network: nn.Module, epochs: Epochs, limits: Limits, identity: str, *, progress: bool
) -> None:
    """Train a network, and leave it as it was after its best epoch.

    Args:
        network: on the device that it is to be trained on.
        epochs: what an epoch does with it.
        limits: when it ends.
        identity: what a checkpoint must have been made of, to go on from it.
        progress: show a bar with the loss, and with how bad the network is for watched images.

    Raises:
        FitError: the training diverges in its first epoch, or the checkpoint is of another one or
            cannot be written.

    Warns:
        EdgeADWarning: it diverges later. The best epoch until then is kept.
    """
    checkpoint = None if limits.checkpoint is None else Path(limits.checkpoint)
    state = Progress(epoch=0, best=math.inf, best_epoch=0, best_state=copied_state(network))
    if checkpoint is not None and checkpoint.exists():
        state = load_progress(checkpoint, network, epochs.optimiser, identity)
        epochs.restore(state.others)
    bar = ProgressBar[None](
        total=limits.epochs,
        initial=state.epoch,
        desc="training",
        unit="epoch",
        disable=not progress,
    )
    with bar:
        while state.epoch < limits.epochs and not state.is_over(limits.patience):
            loss, of_watched = epochs.train(state.epoch), epochs.watch()
            if reason := epochs.divergence(loss, of_watched):
                _tell_of_divergence(reason, state)
                break
            state.epoch += 1
            if of_watched < state.best:
                state.best, state.best_epoch = of_watched, state.epoch
                state.best_state = copied_state(network)
            state.others = epochs.state()
            if checkpoint is not None:
                save_progress(checkpoint, network, epochs.optimiser, state, identity)
            bar.set_postfix(loss=f"{loss:.4f}", watched=f"{of_watched:.4f}", best=state.best_epoch)
            bar.update()
    network.load_state_dict(state.best_state)


def _tell_of_divergence(reason: str, state: Progress) -> None:
    """Say that the training ends here, and what is kept.

    Raises:
        FitError: nothing is there to be kept.
    """
    if state.best_epoch == 0:
        raise FitError(f"the training diverges in its first epoch: {reason}")
    warnings.warn(
        f"the training diverges in epoch {state.epoch + 1}, and epoch {state.best_epoch} is kept: "
        f"{reason}",
        EdgeADWarning,
        stacklevel=2,
    )
