"""A training that was interrupted goes on where it was: its state in one safetensors file.

The file is written beside itself and renamed, so an interruption while it is written leaves the one
before. It holds no code: safetensors are numbers alone.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from edge_ad_runtime.errors import FitError

_MOMENTS = ("exp_avg", "exp_avg_sq", "step")  # what Adam knows of each parameter


@dataclass
class Progress:
    """How far a training has come.

    Attributes:
        epoch: how many epochs are done.
        best: the least negative log-likelihood of the watched images so far.
        best_epoch: the epoch that it was of.
        best_state: the flow's ``state_dict()`` after that epoch.
    """

    epoch: int
    best: float
    best_epoch: int
    best_state: dict[str, Tensor]

    def is_over(self, patience: int) -> bool:
        """Whether the last epochs were no better than one before them."""
        return self.epoch - self.best_epoch >= patience


def save_progress(
    path: Path, flow: nn.Module, optimiser: torch.optim.Optimizer, state: Progress, identity: str
) -> None:
    """Write the state of a training after an epoch.

    Raises:
        FitError: the file cannot be written.
    """
    tensors = {f"flow.{name}": value for name, value in flow.state_dict().items()}
    tensors |= {f"best.{name}": value for name, value in state.best_state.items()}
    for i, parameter in enumerate(flow.parameters()):
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
    path: Path, flow: nn.Module, optimiser: torch.optim.Optimizer, identity: str
) -> Progress:
    """Put a flow and its optimiser where a training was, and say how far that is.

    Raises:
        FitError: the file is no checkpoint, or one of another training.
    """
    device = str(next(flow.parameters()).device)
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
    flow.load_state_dict(_below(tensors, "flow."))
    for i, parameter in enumerate(flow.parameters()):
        optimiser.state[parameter] = {moment: tensors[f"adam.{i}.{moment}"] for moment in _MOMENTS}
    return Progress(
        epoch=epoch, best=best, best_epoch=best_epoch, best_state=_below(tensors, "best.")
    )


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }
