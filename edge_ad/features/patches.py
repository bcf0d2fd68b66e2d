"""Images to patch features: the module here is what gets exported."""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from edge_ad.features.aggregation import BinAggregation, MeanAggregation
from edge_ad.features.settings import FeatureSettings
from edge_ad.features.whitening import Whitening
from edge_ad.networks.registry import Backbone, build_backbone
from edge_ad.networks.weights import load_weights
from edge_ad_runtime.errors import FitError, ImageError
from edge_ad_runtime.images import RGBImage, read_image
from edge_ad_runtime.images.preprocess import Preprocessing

_MEAN = (0.485, 0.456, 0.406)  # of ImageNet, RGB, in 0-1
_STD = (0.229, 0.224, 0.225)
_BATCH = 8
_WHITENING = "whitening."
_IN_MEMORY_BYTES = 2_000_000_000

Run = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Preprocessed images ``(N, H, W, 3)`` to features ``(N, rows, cols, D)``."""


class PatchFeatures(nn.Module):
    """Images ``(N, H, W, 3)`` uint8 RGB to patch features ``(N, rows, cols, D)`` float32.

    What comes before and after the backbone is float32, in whatever type the backbone computes.
    ``whitening`` is None until it is learned, and where none is wanted.
    """

    def __init__(self, backbone: nn.Module, aggregation: nn.Module) -> None:
        super().__init__()
        self.dtype = torch.float32
        self.backbone = backbone
        self.aggregation = aggregation
        self.whitening: Whitening | None = None
        self.mean = nn.Buffer(255 * torch.tensor(_MEAN).view(3, 1, 1), persistent=False)
        self.std = nn.Buffer(255 * torch.tensor(_STD).view(3, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:  # noqa: D102
        x = image.to(torch.float32).permute(0, 3, 1, 2)  # (N, 3, H, W)
        maps = self.backbone(((x - self.mean) / self.std).to(self.dtype))
        features: Tensor = self.aggregation([m.to(torch.float32) for m in maps])  # (N, D, ...)
        if self.whitening is not None:
            features = self.whitening(features)
        return features.permute(0, 2, 3, 1).contiguous()  # (N, rows, cols, D)


def build_network(config: FeatureSettings) -> PatchFeatures:
    """The network of ``config``, with its weights, ready for inference; not whitened yet.

    Raises:
        ConfigError, FitError: see `load_weights`.
    """
    name = config.resolved_backbone
    backbone = build_backbone(name, config.layers, config.size)
    load_weights(backbone, name, config.weights, seed=config.seed)
    return _network(backbone, config)


def network_state(network: PatchFeatures) -> dict[str, Tensor]:
    """The tensors that `restore_network` needs: the backbone's and the whitening's."""
    state: dict[str, Tensor] = network.backbone.state_dict()
    if network.whitening is None:
        return state
    whitening = network.whitening.state_dict(prefix=_WHITENING)
    return {**state, **whitening}


def restore_network(config: FeatureSettings, state: Mapping[str, Tensor]) -> PatchFeatures:
    """The network of a fit folder: ``state`` is `network_state`'s, no tensor more or less."""
    backbone = build_backbone(config.resolved_backbone, config.layers, config.size)
    own = {name: value for name, value in state.items() if not name.startswith(_WHITENING)}
    backbone.load_state_dict(own, strict=True)
    backbone.eval().requires_grad_(False)
    network = _network(backbone, config)
    learned = {n.removeprefix(_WHITENING): v for n, v in state.items() if n not in own}
    if learned:
        network.whitening = Whitening(len(learned["bias"]))
        network.whitening.load_state_dict(learned, strict=True)
    return network


def _network(backbone: Backbone, config: FeatureSettings) -> PatchFeatures:
    p, stride, dim = config.patch_size, config.stride, config.resolved_aggregated_dim
    aggregation: nn.Module = (
        MeanAggregation(p, stride)
        if dim is None
        else BinAggregation(backbone.channels, p, stride, dim)
    )
    return PatchFeatures(backbone, aggregation).eval()


@torch.inference_mode()
def extract(network: PatchFeatures, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Features ``(N, rows, cols, D)`` of preprocessed images ``(N, H, W, 3)``.

    Raises:
        FitError: features are NaN or infinite.
    """
    features: NDArray[np.float32] = network(torch.from_numpy(images)).numpy()
    if not np.isfinite(features).all():
        raise FitError("the network gives NaN or infinite features; its weights are damaged")
    return features


def extract_files(
    run: Run, paths: Sequence[Path], preprocessing: Preprocessing, *, progress: bool
) -> NDArray[np.float32]:
    """Features ``(N, rows, cols, D)`` of image files, read one batch at a time.

    Past `_IN_MEMORY_BYTES` they are in a scratch file of the temporary folder (TMPDIR), which has
    no name and so is gone with the process, however that ends.

    Raises:
        FitError: the scratch file would not fit on its disk.
    """
    features: NDArray[np.float32] | None = None
    with tqdm(total=len(paths), desc="features", unit="image", disable=not progress) as bar:
        for start, batch in _batches(paths, preprocessing):
            values = run(batch)
            if features is None:
                features = _allocate((len(paths), *values.shape[1:]))
            features[start : start + len(values)] = values
            bar.update(len(values))
    assert features is not None, "callers give at least one path"
    return features


def _allocate(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """An array in memory, or in an unnamed scratch file if it is large."""
    size_bytes = 4 * math.prod(shape)
    if size_bytes <= _IN_MEMORY_BYTES:
        return np.empty(shape, np.float32)
    folder = tempfile.gettempdir()
    free_bytes = shutil.disk_usage(folder).free
    if size_bytes > free_bytes:
        raise FitError(
            f"the features need {size_bytes / 1e9:.1f} GB of scratch space, {folder} has "
            f"{free_bytes / 1e9:.1f} GB; set TMPDIR to a larger disk, or use fewer images"
        )
    with tempfile.TemporaryFile(dir=folder) as file:  # the mapping keeps it alive
        try:
            os.posix_fallocate(file.fileno(), 0, size_bytes)  # a disk that fills up later is SIGBUS
        except OSError as exc:
            raise FitError(
                f"{folder}: {size_bytes / 1e9:.1f} GB of scratch space cannot be had: "
                f"{exc.strerror}; set TMPDIR to another disk"
            ) from exc
        return np.memmap(file, np.float32, mode="r+", shape=shape)


def load_preprocessed(path: Path, preprocessing: Preprocessing) -> RGBImage:
    """Read one file and preprocess it; raises ImageError with the path."""
    image = read_image(path)
    try:
        return preprocessing.apply(image)
    except ImageError as exc:
        raise ImageError(str(exc), path=path) from exc


def _batches(
    paths: Sequence[Path], preprocessing: Preprocessing
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    for start in range(0, len(paths), _BATCH):
        chunk = paths[start : start + _BATCH]
        yield start, np.stack([load_preprocessed(path, preprocessing) for path in chunk])
