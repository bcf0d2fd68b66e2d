"""Episodes: good parts of one product to make a detector of, and other parts to ask it about."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from torch.utils.data import IterableDataset, get_worker_info

from edge_ad.recipes import textures
from edge_ad.recipes.defects import draw_defective, draw_good
from edge_ad.recipes.products import SIDE, draw_product

BANK, GOOD, DEFECTIVE = 5, 3, 6  # parts for the bank, and good and defective ones to ask about
IMAGES = BANK + GOOD + DEFECTIVE
CELL_PX = 8  # of the features' grid
_DRIFTS, _ODDS = (0.0, 0.1, 0.2), (0.6, 0.2, 0.2)


@dataclass(frozen=True)
class Episode:
    """The images of one product, and where damage has changed them.

    Attributes:
        images: ``(IMAGES, SIDE, SIDE, 3)`` uint8: those of the bank, then good ones, then defective
            ones.
        change: ``(IMAGES, SIDE / 8, SIDE / 8)``, the largest change by damage in each cell, in grey
            levels.
    """

    images: NDArray[np.uint8]
    change: NDArray[np.float32]


def draw_episode(rng: np.random.Generator, bank: NDArray[np.uint8]) -> Episode:
    """An episode of a product drawn anew, with textures of ``bank``.

    The parts to ask about may have drifted.
    """
    product = draw_product(rng, bank)
    drift = float(rng.choice(_DRIFTS, p=_ODDS))
    photos = [draw_good(product, rng) for _ in range(BANK)]
    photos += [draw_good(product, rng, drift) for _ in range(GOOD)]
    photos += [draw_defective(product, rng, drift) for _ in range(DEFECTIVE)]
    cells = SIDE // CELL_PX
    grid = (cells, CELL_PX, cells, CELL_PX)
    change = [photo.change.reshape(grid).max(axis=(1, 3)) for photo in photos]
    return Episode(np.stack([photo.image for photo in photos]), np.stack(change))


class Episodes(IterableDataset[Episode]):
    """Episode after episode. The i-th is always the same, whatever was drawn before it.

    Args:
        seed: draws everything in the episodes.
        start: the number of the first episode, to resume at.
        bank_size: how many textures there are to choose from. Each step draws one of them anew.
    """

    def __init__(self, seed: int, start: int, bank_size: int) -> None:
        self.seed, self.start, self.bank_size = seed, start, bank_size

    def __iter__(self) -> Iterator[Episode]:
        """All episodes from ``start`` on, or in a worker of a DataLoader its share of them."""
        cv2.setNumThreads(1)
        worker = get_worker_info()
        number, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        step, size = self.start + number, self.bank_size
        bank = np.stack([self._texture(i, step // size + (i < step % size)) for i in range(size)])
        while True:
            for i in range(max(step - workers, 0), step):
                bank[i % size] = self._texture(i % size, i // size + 1)
            yield draw_episode(np.random.default_rng([self.seed, step]), bank)
            step += workers

    def _texture(self, i: int, times: int) -> NDArray[np.uint8]:
        """The i-th texture of the bank, drawn anew so many times."""
        return textures.draw_texture(np.random.default_rng([self.seed, i, times, 7]))
