"""Many images are judged as each of them is."""

import numpy as np

from edge_ad.methods.judge import Judge
from edge_ad.networks.run import TorchRun


def test_many_images_have_the_scores_of_each_in_order(fitted):
    network = fitted.network()
    judge = Judge(TorchRun(network), fitted.lower(network), fitted.config.size)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (11, *fitted.config.size, 3), np.uint8)  # more than at once
    assert list(judge.scores(iter(images))) == [judge.score(image) for image in images]
    assert list(judge.scores([])) == []
