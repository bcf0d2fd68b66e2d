"""A training that was interrupted goes on where it was: its state in one safetensors file.

The file is written beside itself and renamed, so an interruption while it is written leaves the one
before. It holds no code: safetensors are numbers alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from edge_ad.images.good import GoodImages
from edge_ad.methods.settings import FitSettings
from edge_ad_runtime.artifact import strict
from edge_ad_runtime.errors import FitError

_MOMENTS = ("exp_avg", "exp_avg_sq", "step")  # what Adam knows of each parameter


@dataclass
class Progress:
    """How far a training has come.

    Attributes:
        epoch: how many epochs are done.
        best: the least loss of the watched images so far.
        best_epoch: the epoch that it was of.
        best_state: the network's ``state_dict()`` after that epoch.
        others: what else the training needs to go on, such as the chains of a sampler, by name.
    """

    epoch: int
    best: float
    best_epoch: int
    best_state: dict[str, Tensor]
    others: dict[str, Tensor] = field(default_factory=dict)

    def is_over(self, patience: int) -> bool:
        """Whether the last epochs were no better than one before them."""
        return self.epoch - self.best_epoch >= patience


def save_progress(
    path: Path, network: nn.Module, optimiser: torch.optim.Optimizer, state: Progress, identity: str
) -> None:
    """Write the state of a training after an epoch.

    Raises:
        FitError: the file cannot be written.
    """
    tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
    tensors |= {f"best.{name}": value for name, value in state.best_state.items()}
    tensors |= {f"others.{name}": value for name, value in state.others.items()}
    for i, parameter in enumerate(network.parameters()):
        known = optimiser.state[parameter]
        tensors |= {f"adam.{i}.{moment}": known[moment] for moment in _MOMENTS}
    told = {
        "identity": identity,
        "progress": json.dumps([state.epoch, state.best, state.best_epoch]),
    }
    partial = path.with_name(path.name + ".partial")
    try:
        save_file({name: value.contiguous() for name, value in tensors.items()}, partial, told)
        partial.replace(path)
    except (OSError, SafetensorError) as exc:
        raise FitError(f"{path}: the checkpoint cannot be written: {exc}") from exc


def load_progress(
    path: Path, network: nn.Module, optimiser: torch.optim.Optimizer, identity: str
) -> Progress:
    """Put a network and its optimiser where a training was, and say how far that is.

    Raises:
        FitError: the file is no checkpoint, or one of another training.
    """
    device = str(next(network.parameters()).device)
    try:
        with safe_open(path, framework="pt", device=device) as file:
            told = file.metadata() or {}
            if told.get("identity") != identity:
                raise FitError(
                    f"{path}: a checkpoint of other images or settings; give another "
                    "--checkpoint, or remove it"
                )
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        epoch, best, best_epoch = json.loads(told["progress"])
    except (OSError, SafetensorError, KeyError, ValueError) as exc:
        raise FitError(f"{path}: not a checkpoint of a training: {exc}; remove it") from exc
    try:
        network.load_state_dict(_below(tensors, "network."))
        for i, parameter in enumerate(network.parameters()):
            moments = {moment: tensors[f"adam.{i}.{moment}"] for moment in _MOMENTS}
            optimiser.state[parameter] = moments
    except (RuntimeError, KeyError) as exc:
        raise FitError(f"{path}: a checkpoint of another network: {exc}; remove it") from exc
    return Progress(
        epoch=epoch,
        best=best,
        best_epoch=best_epoch,
        best_state=_below(tensors, "best."),
        others=_below(tensors, "others."),
    )


def copied_state(network: nn.Module) -> dict[str, Tensor]:
    """A copy of the network's ``state_dict()``, which further training leaves as it is."""
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def identity_of(images: GoodImages, settings: FitSettings, not_of_training: Iterable[str]) -> str:
    """The SHA-256 of all that the steps of a training depend on.

    Args:
        images: the images, whose files are read.
        settings: the settings.
        not_of_training: the names of those that say when the training ends, where it runs and what
            is done with its result. They are left out, so that a training can be made longer, and
            one training can be tested in several ways.
    """
    left_out = set(not_of_training)
    known = {each.name: getattr(settings, each.name) for each in fields(settings)}
    of_training = {name: value for name, value in known.items() if name not in left_out}
    digest = hashlib.sha256(strict.dumps(of_training).encode())
    for path in images.paths:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }
