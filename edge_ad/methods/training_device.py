"""Where the training of a method runs."""

from __future__ import annotations

import torch

from edge_ad_runtime.errors import ConfigError


def training_device(name: str) -> torch.device:
    """The device of a setting ``device``: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        ConfigError: a GPU is asked for, and there is none.
    """
    has_gpu = torch.cuda.is_available()
    if name == "cuda" and not has_gpu:
        raise ConfigError("device is 'cuda', and torch finds no GPU here; give --device cpu")
    return torch.device(name if name != "auto" else "cuda" if has_gpu else "cpu")
