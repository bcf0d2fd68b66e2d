"""What is learned: that a detector made of good parts tells defective parts from good ones.

Each episode is a small PatchCore (Roth et al. 2022) without a coreset. Its bank is the patch
features of a few good images, whitened by their own covariance (`edge_ad.features.whitening`). A
patch's distance is that to the nearest patch of the bank, and an image's score is that of its
largest distances. The loss ranks the scores of defective images above those of good ones.

Distances count in units of the good images' mean distance, so shrinking all features gains nothing.
With whitening, letting all but a few directions go gains nothing either. The features therefore do
not collapse, as they do under a loss on distances themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from edge_ad.features.aggregation import MeanAggregation
from edge_ad.features.whitening import SHRINKAGE
from edge_ad.recipes.episodes import BANK, GOOD

_TAU = 0.15  # relative distance: larger differences are hardly pushed further
_PATCHES_WEIGHT = 0.3
_LARGEST, _LARGEST_DAMAGED = 4, 3  # patches that make an image's score
_DAMAGED, _TOUCHED = 12, 3  # grey levels changed: what counts as damaged, and as not good
_REACH = 5  # cells: what is so near to damage is neither good nor damaged
_NONE = -1e4

_aggregation = MeanAggregation(patch_size=3, stride=1)


@dataclass(frozen=True)
class Outcome:
    """The loss to minimise, its parts, and the share of pairs that are ranked rightly."""

    loss: Tensor
    images: float
    patches: float
    auroc: float


def outcome(maps: list[Tensor], change: Tensor) -> Outcome | None:
    """The outcome of one episode, or None where no damage shows.

    Args:
        maps: the backbone's maps, ``(IMAGES, C_j, h_j, w_j)`` each.
        change: ``(IMAGES, h, w)``, see `Episode`.
    """
    features = _aggregation([m.float() for m in maps]).permute(0, 2, 3, 1).flatten(1, 2)
    distances = relative_distances(features[:BANK], features[BANK:])  # (GOOD + DEFECTIVE, P)
    good, defective = distances[:GOOD], distances[GOOD:]
    change = change[BANK + GOOD :, None]  # (DEFECTIVE, 1, h, w)
    damaged = (change > _DAMAGED).flatten(1)
    near = (functional.max_pool2d(change, _REACH, 1, _REACH // 2) > _TOUCHED).flatten(1)
    count = damaged.sum(dim=1)
    shows = count > 0
    if not shows.any():
        return None

    scores = good.topk(_LARGEST, dim=1).values.mean(dim=1)
    top = torch.where(damaged, defective, _NONE).topk(_LARGEST_DAMAGED, dim=1).values
    weights = (torch.arange(_LARGEST_DAMAGED, device=top.device) < count[:, None]).float()
    found = (top * weights).sum(dim=1) / weights.sum(dim=1).clamp_min(1)
    margins = found[shows][:, None] - scores
    images = functional.softplus(-margins / _TAU).mean()

    quiet = torch.where(near, _NONE, defective).topk(_LARGEST, dim=1).values.mean(dim=1)
    ceiling = torch.cat([scores, quiet.clamp_min(0)]).mean()
    patches = functional.softplus((ceiling - defective[damaged]) / _TAU).mean()

    ranked = (margins > 0).float().mean().item()
    return Outcome(images + _PATCHES_WEIGHT * patches, images.item(), patches.item(), ranked)


def relative_distances(bank: Tensor, queries: Tensor) -> Tensor:
    """Distances to the nearest whitened bank patch, in units of the mean of the good queries'.

    Args:
        bank: ``(BANK, P, D)``, the patch features of the bank's images.
        queries: ``(N, P, D)``. The first `GOOD` of them are good.

    Returns:
        ``(N, P)``.
    """
    rows = bank.flatten(0, 1)
    mean = rows.mean(dim=0)
    centred = rows - mean
    covariance = centred.T @ centred / len(rows)
    level = SHRINKAGE * covariance.diagonal().mean() + 1e-6
    shrunk = (1 - SHRINKAGE) * covariance + level * torch.eye(len(mean), device=mean.device)
    root = torch.linalg.cholesky(shrunk)  # whitens as well as the symmetric root would here
    white_bank = torch.linalg.solve_triangular(root, centred.T, upper=False).T
    asked = (queries - mean).flatten(0, 1)
    white = torch.linalg.solve_triangular(root, asked.T, upper=False).T
    with torch.no_grad():  # which patch is nearest has no gradient, but its distance has
        products = (white.bfloat16() @ white_bank.bfloat16().T).float()
        nearest = ((white_bank**2).sum(dim=1) - 2 * products).argmin(dim=1)
    distances = ((white - white_bank[nearest]) ** 2).sum(dim=1).add(1e-6).sqrt()
    distances = distances.reshape(queries.shape[:2])
    relative: Tensor = distances / distances[:GOOD].mean().clamp_min(1e-3)
    return relative
