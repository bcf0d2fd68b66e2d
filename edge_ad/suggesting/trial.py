"""One network at one size on all images, and what each choice of its layers makes of them.

The network runs once on each image. Each choice of layers then has its own patches, a bank, and the
device's own head. The bank has as many rows as a fit of these images would have, up to a limit:
with the same number for all, the finest grids would have the thinnest banks, and would seem worse
than they are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge_ad.features.aggregation import MeanAggregation
from edge_ad.features.coreset import greedy_coreset
from edge_ad.features.layers import LayerMaps, pretrained
from edge_ad.features.whitening import Whitening, learn_whitening, whiten_in_place
from edge_ad.methods.patchcore.bank import nearest_bank_rows
from edge_ad.methods.patchcore.settings import PatchCoreConfig
from edge_ad.suggesting.sample import Sample
from edge_ad_runtime.artifact.head_records import BankRecord, ExactSearchRecord, PatchSearchRecord
from edge_ad_runtime.errors import FitError
from edge_ad_runtime.heads import Head, Opening, open_head
from edge_ad_runtime.heads.in_memory import InMemory
from edge_ad_runtime.heads.patch_search import BANK, BANK_NEIGHBOURS, FEATURES
from edge_ad_runtime.images import RGBImage

_MOST_PATCHES = 48_000  # of all images together: from them the bank is chosen
_BANK_ROWS = 8_000  # at most
_FIT_ROWS = 12_000  # the bank of the fit that is suggested has no more, but at least 1% of patches
_BYTES_PER_NUMBER = 4
_FRACTIONS = (0.1, 0.05, 0.03, 0.02, 0.01)


@dataclass(frozen=True, kw_only=True, eq=False)
class Trial:
    """What one choice of settings made of the images.

    Attributes:
        config: the settings, with a coreset fraction for the bank that a fit would have.
        scores: of the sample's images, by the names of its groups.
        bank_rows: how many rows the bank has that gave them.
        network_ms: the median time of the network in PyTorch.
        search_ms: the time of the exact search in the bank that a fit would have, by estimate.
        megabytes: what the artifact's network and bank take, by estimate.
    """

    config: PatchCoreConfig
    scores: dict[str, NDArray[np.float64]]
    bank_rows: int
    network_ms: float
    search_ms: float
    megabytes: float

    @property
    def ms(self) -> float:
        """What an image takes, without decoding."""
        return self.network_ms + self.search_ms


def trials(
    configs: Sequence[PatchCoreConfig], sample: Sample, *, tick: Callable[[], None]
) -> list[Trial]:
    """Try settings of one network and one size.

    Args:
        configs: settings that differ in their layers alone.
        sample: the images.
        tick: what to call after each run of the network.
    """
    every = tuple(sorted({layer for config in configs for layer in config.layers}))
    network = LayerMaps(pretrained(replace(configs[0], layers=every))).eval()
    bytes_of = sum(p.numel() for p in network.backbone.parameters()) * _BYTES_PER_NUMBER
    of_each = [_Choice(config, every, sample) for config in configs]
    learned = [configs[0].preprocessing.apply(image) for image in sample.learned]
    for image in learned:
        maps, _ = _maps(network, image)
        for choice in of_each:
            choice.learn(maps, _MOST_PATCHES // len(learned))
        tick()
    for choice in of_each:
        choice.build()
    times: list[float] = []
    scores: dict[str, list[list[float]]] = {}
    for group, images in sample.judged.items():
        scores[group] = [[] for _ in of_each]
        for image in images:
            maps, network_ms = _maps(network, configs[0].preprocessing.apply(image))
            times.append(network_ms)
            for choice, found in zip(of_each, scores[group], strict=True):
                found.append(choice.score(maps))
            tick()
    return [
        choice.trial(
            {group: np.array(found[i]) for group, found in scores.items()},
            float(np.median(times)),
            bytes_of,
        )
        for i, choice in enumerate(of_each)
    ]


@torch.inference_mode()
def _maps(network: LayerMaps, image: RGBImage) -> tuple[list[Tensor], float]:
    """The maps of all layers, and the milliseconds that the network took."""
    began = time.perf_counter()
    maps = network.maps(torch.from_numpy(image[np.newaxis]))
    return maps, 1000 * (time.perf_counter() - began)


class _Choice:
    """One choice of layers: its patches, its bank and its head."""

    def __init__(self, config: PatchCoreConfig, every: Sequence[int], sample: Sample) -> None:
        self._config = config
        self._sample = sample
        self._at = [every.index(layer) for layer in config.layers]
        self._rng = np.random.default_rng(sample.seed)
        self._patches: list[NDArray[np.float32]] = []
        self._whitening: Whitening | None = None
        self._grid = (0, 0)
        self._head: Head | None = None
        self._search_ms: list[float] = []
        self._rows = 0

    def learn(self, maps: Sequence[Tensor], count: int) -> None:
        """Keep some patches of a good image, drawn by lot."""
        features = self._features(maps)
        self._grid = (features.shape[0], features.shape[1])
        patches = features.reshape(-1, features.shape[2])
        chosen = self._rng.permutation(len(patches))[:count]
        self._patches.append(patches[chosen])

    def build(self) -> None:
        """Choose the bank from the patches, and open the head."""
        patches = np.concatenate(self._patches)
        self._patches.clear()
        if self._config.resolved_whiten:
            self._whitening = learn_whitening(patches)
            whiten_in_place(patches, self._whitening)
        rows = round(self._fraction * len(self._sample.learned) * self._patches_of_image)
        self._rows = max(1, min(rows, _BANK_ROWS, len(patches)))
        bank = patches[greedy_coreset(patches, self._rows, seed=self._config.seed)]
        scoring = self._config.scoring
        arrays: dict[str, NDArray[np.generic]] = {BANK: bank}
        if scoring.reweight_neighbours:
            arrays[BANK_NEIGHBOURS] = nearest_bank_rows(bank, scoring.reweight_neighbours)
        record = PatchSearchRecord(
            grid=self._grid,
            dimension=bank.shape[1],
            bank=BankRecord(rows=len(bank), precision="float32"),
            search=ExactSearchRecord(reason="a trial"),
            scoring=scoring,
            map=self._config.map,
        )
        self._head = open_head(record, InMemory(arrays), Opening(size=self._config.size))
        self._dimension = bank.shape[1]

    def score(self, maps: Sequence[Tensor]) -> float:
        """The score of an image, and with it a measurement of the search."""
        assert self._head is not None, "the bank is built before images are judged"
        features = self._features(maps)
        if self._whitening is not None:
            flat = features.reshape(-1, features.shape[2])
            whiten_in_place(flat, self._whitening)
        judged = self._head.judge({FEATURES: features}, with_map=False)
        self._search_ms.append(sum(judged.timings_ms.values()))
        return float(judged.score)

    def trial(
        self,
        scores: dict[str, NDArray[np.float64]],
        network_ms: float,
        network_bytes: int,
    ) -> Trial:
        """All that was found, and what a fit with a bank of the usual size would cost."""
        patches = self._sample.images_of_fit * self._patches_of_image
        rows = max(1, round(self._fraction * patches))
        return Trial(
            config=replace(self._config, coreset_fraction=self._fraction),
            scores=scores,
            bank_rows=self._rows,
            network_ms=network_ms,
            search_ms=float(np.median(self._search_ms)) * rows / self._rows,
            megabytes=(network_bytes + rows * self._dimension * _BYTES_PER_NUMBER) / 1e6,
        )

    @property
    def _patches_of_image(self) -> int:
        return self._grid[0] * self._grid[1]

    @property
    def _fraction(self) -> float:
        """The coreset fraction of a fit of the whole folder."""
        patches = self._sample.images_of_fit * self._patches_of_image
        return next((f for f in _FRACTIONS if f * patches <= _FIT_ROWS), _FRACTIONS[-1])

    @torch.inference_mode()
    def _features(self, maps: Sequence[Tensor]) -> NDArray[np.float32]:
        """The patch features ``(rows, cols, D)`` of one image, before whitening."""
        aggregate = MeanAggregation(self._config.patch_size, self._config.stride)
        features: Tensor = aggregate([maps[i] for i in self._at])[0].permute(1, 2, 0)
        found = np.array(features.contiguous().numpy())
        if not np.isfinite(found).all():
            raise FitError(
                "the network gives features that are not finite; its weights are damaged"
            )
        return found


def by_network(configs: Iterable[PatchCoreConfig]) -> Iterator[list[PatchCoreConfig]]:
    """The settings in groups of one network and one size."""
    groups: dict[tuple[str, str, tuple[int, int]], list[PatchCoreConfig]] = {}
    for config in configs:
        groups.setdefault((config.backbone, config.weights, config.size), []).append(config)
    yield from groups.values()
