"""Any method on generated parts, which are what choices are made on."""

from __future__ import annotations

import numpy as np

from edge_ad.evaluation.metrics import auroc
from edge_ad.images.good import GoodImages
from edge_ad.methods import load_method
from edge_ad.methods.judge import Judge
from edge_ad.methods.settings import FitSettings
from edge_ad.networks.run import TorchRun
from edge_ad.recipes.generated_parts import KINDS, Category, draw_category


def on_generated(config: FitSettings, *, seed: int = 0, drift: float = 0.0) -> dict[str, float]:
    """Image AUROC by kind of generated part, and the mean.

    Args:
        config: the method's settings. All good images are learned from.
        seed: of the drawing.
        drift: see `draw_category`.
    """
    found = {kind: _scored(draw_category(kind, seed, drift=drift), config) for kind in KINDS}
    return {"mean": float(np.mean(list(found.values()))), **found}


def _scored(category: Category, config: FitSettings) -> float:
    method = load_method(config.method)
    good = GoodImages.in_memory(category.good, config.preprocessing)
    network = method.train(good, config, progress=False)
    run = TorchRun(network)
    kept = method.gather(run, good, config, progress=False).kept
    judge = Judge(run, method.lower(network, kept, config), config.size)
    scores = list(judge.scores(category.test))
    judge.head.close()
    return auroc(np.array(scores), category.is_defective)
