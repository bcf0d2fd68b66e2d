"""Learned proxies (PatchCore, equation 8): a bank of made-up patches, the coreset's baseline.

Proxies P_C are learned by gradient descent so that every patch of the full bank is well described
by a softmax-weighted mean of them:

    L(m_i) = | m_i - sum over k of softmax_k(-|m_i - p_k|) p_k |^2

The paper prints the exponent without the minus, but then the farthest proxies would weigh most.

In the paper's figure 5 proxies do worse than the greedy coreset, and far worse at 1%. A mean
describes well what is frequent, and a bank must hold what is rare. The exponent also has no scale:
with features whose distances are near 1, as ResNet18's, the weights are nearly equal, and the
proxies are far worse than the random draw that they began at. benchmarks/PAPER.md has the figures.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from edge_ad_runtime.progress import ProgressBar

_STEPS = 300
_BATCH = 256
_RATE = 0.1  # the step, as a share of a feature's standard deviation. It falls to 0


def learn_proxies(
    patches: NDArray[np.float32], count: int, *, seed: int = 0, progress: bool = False
) -> NDArray[np.float32]:
    """``(count, D)`` proxies of ``(N, D)`` patches, begun at a random draw of them."""
    rng = np.random.default_rng(seed)
    start = np.array(patches[np.sort(rng.choice(len(patches), count, replace=False))])
    proxies = torch.from_numpy(start).requires_grad_()
    rate = _RATE * float(start[: 8 * _BATCH].std(axis=0).mean())
    optimiser = torch.optim.Adam([proxies], lr=rate)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, _STEPS)
    for _ in ProgressBar(range(_STEPS), desc="proxies", unit="step", disable=not progress):
        batch = torch.from_numpy(patches[rng.integers(len(patches), size=_BATCH)])  # (batch, D)
        sq_distances = (
            batch.square().sum(dim=1, keepdim=True)
            - 2 * batch @ proxies.T
            + proxies.square().sum(dim=1)
        )  # (batch, count)
        weights = sq_distances.clamp(min=1e-6).sqrt().neg().softmax(dim=1)
        loss = (batch - weights @ proxies).square().sum(dim=1).mean()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        falling.step()
    return np.asarray(proxies.detach().numpy())
