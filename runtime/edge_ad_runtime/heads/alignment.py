"""Compare an image with its most similar good images, position by position (SPADE, section 3.3).

The gallery G of Cohen & Hoshen 2020 is the features at all positions of the K most similar images.
A position's distance is the mean of those to the kappa features of G that are nearest to it. A
window leaves only the positions around its own in G.

The good images' features are float16 and stay in their file. One image after the other is read, and
a block of it at a time is multiplied with all queries. Of the product only each query's largest
value in the block is kept, so that the product, of which there would be q x K x q numbers, never
leaves the processor's cache. Then the blocks that hold a query's nearest features are looked at
again, each with the few queries that it matters to, and distances are measured directly.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.heads import Slices

FloatArray = NDArray[np.float32]

_BLOCK_VALUES = 1 << 20  # of a product: 4 MB, so that it is still in the cache when it is read
_FEWEST_ROWS = 64  # of a block, or the product of matrices is slow


def nearest_anywhere(
    features: FloatArray, good: Slices, images: NDArray[np.int64], kappa: int
) -> FloatArray:
    """Squared distances to the kappa nearest positions of some good images.

    Args:
        features: ``(rows, cols, C)``, finite.
        good: of each good image the features ``(rows, cols, C)`` float16, finite.
        images: the numbers of those that are compared with.
        kappa: how many positions count.

    Returns:
        ``(kappa, rows * cols)``, rising. Where there are fewer than kappa positions, the others are
        infinitely far.
    """
    flat = features.reshape(-1, features.shape[-1])
    size = min(max(_BLOCK_VALUES // len(flat), _FEWEST_ROWS), len(flat))
    blocks = _Blocks(good, images, size)
    chosen = _nearest_blocks(flat, blocks, kappa)
    nearest = np.full((kappa, len(flat)), np.inf, np.float32)
    for number, block in blocks.those(np.unique(chosen[chosen >= 0])):
        at = np.flatnonzero((chosen == number).any(axis=0))
        found = _nearest_in_block(flat[at], block, kappa)
        nearest[:, at] = np.sort(np.concatenate([nearest[:, at], found]), axis=0)[:kappa]
    return nearest


def nearest_within(
    features: FloatArray, good: Slices, images: NDArray[np.int64], kappa: int, window: int
) -> FloatArray:
    """Squared distances to the kappa nearest of the positions that are ``window`` away at most.

    See `nearest_anywhere`. Here they are in any order.
    """
    height, width, _ = features.shape
    nearest = np.full((kappa, height, width), np.inf, np.float32)
    reach = range(-window, window + 1)
    for image in images:
        there = good.read(int(image)).astype(np.float32)
        for dy, dx in product(reach, reach):
            if abs(dy) >= height or abs(dx) >= width:
                continue
            rows, cols = _shifted(height, -dy), _shifted(width, -dx)
            difference = features[rows, cols] - there[_shifted(height, dy), _shifted(width, dx)]
            sq_distances = np.einsum("yxc,yxc->yx", difference, difference)
            _keep_smallest(nearest[:, rows, cols], sq_distances)
    return nearest.reshape(kappa, height * width)


class _Blocks:
    """The features of some images in blocks of at most ``size`` positions, numbered throughout."""

    def __init__(self, good: Slices, images: NDArray[np.int64], size: int) -> None:
        self._good = good
        self._images = images
        self.size = size

    def every(self) -> Iterator[tuple[int, NDArray[np.float16]]]:
        """The number of each block and its features ``(n, C)``."""
        number = 0
        for image in self._images:
            rows = self._read(image)
            for start in range(0, len(rows), self.size):
                yield number, rows[start : start + self.size]
                number += 1

    def those(self, numbers: NDArray[np.int64]) -> Iterator[tuple[int, FloatArray]]:
        """The blocks of these rising numbers, as float32."""
        read, rows = -1, self._read(self._images[0])
        per_image = -(-len(rows) // self.size)
        for number in numbers.tolist():
            image, within = divmod(number, per_image)
            if image != read:
                read, rows = image, self._read(self._images[image])
            start = within * self.size
            yield number, rows[start : start + self.size].astype(np.float32)

    def _read(self, image: np.int64) -> NDArray[np.float16]:
        values = self._good.read(int(image))
        return values.reshape(-1, values.shape[-1])


def _nearest_blocks(queries: FloatArray, blocks: _Blocks, kappa: int) -> NDArray[np.int64]:
    """The numbers of the kappa blocks with the nearest features of each query, ``(kappa, q)``.

    The kappa nearest features are in these blocks, since each of the blocks has one that is as near
    as the kappa-th. Where there are fewer blocks, the other numbers are -1.

    |q - b|^2 = |q|^2 - 2 (q.b - |b|^2 / 2), so the largest q.b - |b|^2 / 2 wins. A last coordinate
    of 1 and of -|b|^2 / 2 makes that the product itself.
    """
    count, channels = queries.shape
    extended = np.ascontiguousarray(np.hstack([queries, np.ones((count, 1), np.float32)]).T)
    closest = np.full((kappa, count), -np.inf, np.float32)
    chosen = np.full((kappa, count), -1, np.int64)
    block = np.empty((blocks.size, channels + 1), np.float32)
    products = np.empty((blocks.size, count), np.float32)  # the same memory, which is in the cache
    for number, features in blocks.every():
        rows = block[: len(features)]
        rows[:, :-1] = features
        rows[:, -1] = np.einsum("nc,nc->n", rows[:, :-1], rows[:, :-1]) / -2
        offered = np.matmul(rows, extended, out=products[: len(rows)]).max(axis=0)  # (q,)
        weakest = closest.argmin(axis=0)
        at = np.flatnonzero(offered > closest.min(axis=0))
        closest[weakest[at], at] = offered[at]
        chosen[weakest[at], at] = number
    return chosen


def _nearest_in_block(queries: FloatArray, block: FloatArray, kappa: int) -> FloatArray:
    """Squared distances of ``(n, C)`` queries to the kappa nearest of a block: ``(kappa, n)``.

    There are fewer if the block has fewer.
    """
    closeness = queries @ block.T - np.einsum("nc,nc->n", block, block) / 2  # (n, block)
    kappa = min(kappa, len(block))
    if kappa == 1:
        rows = closeness.argmax(axis=1)[:, np.newaxis]
    else:
        rows = np.argpartition(closeness, -kappa, axis=1)[:, -kappa:]
    difference = queries[:, np.newaxis] - block[rows]  # (n, kappa, C)
    return np.asarray(np.einsum("nkc,nkc->kn", difference, difference))


def _keep_smallest(kept: FloatArray, values: FloatArray) -> None:
    """Put values ``(rows, cols)`` in the place of the largest of ``(kappa, rows, cols)``."""
    if len(kept) == 1:
        np.minimum(kept[0], values, out=kept[0])
        return
    largest = kept.argmax(axis=0)[np.newaxis]
    smaller = np.minimum(np.take_along_axis(kept, largest, axis=0), values)
    np.put_along_axis(kept, largest, smaller, axis=0)


def _shifted(length: int, by: int) -> slice:
    """Of a line of that length, the places that are ``by`` after another place on it."""
    return slice(max(by, 0), length + min(by, 0))
