"""Images judged in the workshop as the device will judge them, by the device's own head."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edge_ad.methods import Lowered
from edge_ad.networks.run import Run
from edge_ad_runtime.heads import Arrays, Opening, open_head
from edge_ad_runtime.heads.in_memory import InMemory
from edge_ad_runtime.heads.stages import own_stages

_AT_ONCE = 8  # images whose outputs are held in memory


class Judge:
    """A network, wherever it runs, and the head that judges its outputs.

    Args:
        run: the network.
        lowered: the network's tail and its head.
        size: ``(height, width)`` of the network's input.
    """

    def __init__(self, run: Run, lowered: Lowered, size: tuple[int, int]) -> None:
        self._run = run
        self._tail = lowered.tail
        self.head = open_head(lowered.head, InMemory(lowered.arrays), Opening(size=size))

    def score(self, preprocessed: NDArray[np.uint8]) -> float:
        """The score of one image, ``(H, W, 3)`` and already of the network's size."""
        return self.head.judge(self._outputs(preprocessed), with_map=False).score

    def scores(self, preprocessed: Iterable[NDArray[np.uint8]]) -> Iterator[float]:
        """The scores of many images, in order.

        A few go through the network before the head judges them. One by one, the threads of the
        network and those of the head's matrix products would wait for one another, which takes 1.7
        times as long.
        """
        images = iter(preprocessed)
        while outputs := [self._outputs(image) for image in islice(images, _AT_ONCE)]:
            for each in outputs:
                yield self.head.judge(each, with_map=False).score

    def stages(self, preprocessed: NDArray[np.uint8]) -> tuple[Arrays, float]:
        """The values of the stages before the map, by name, and the score."""
        outputs = self._outputs(preprocessed)
        values = dict(outputs)
        for stage in own_stages(self.head):
            values[stage.name] = self.head.replay(stage.name, values)
        return values, self.head.judge(outputs, with_map=False).score

    def _outputs(self, preprocessed: NDArray[np.uint8]) -> Arrays:
        found = self._run(preprocessed[np.newaxis])
        if self._tail is not None:
            found = run_tail(self._tail, found)
        return {name: value[0] for name, value in found.items()}


def taken_by(tail: nn.Module) -> list[str]:
    """The names of the network's outputs that a tail takes, in order."""
    return list(inspect.signature(tail.forward).parameters)


@torch.inference_mode()
def run_tail(tail: nn.Module, outputs: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The tail's outputs, by name, from those of the network."""
    found = tail(*(torch.from_numpy(outputs[name]) for name in taken_by(tail)))
    return {name: value.numpy() for name, value in found.items()}
