"""The truth about regions, and the device's function beside it."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from edge_ad import ReferenceDetector, SpadeConfig, fit
from edge_ad.fitting.reference_regions import reference_regions
from edge_ad_runtime.decision.regions import find_regions
from edge_ad_runtime.images.preprocess import Preprocessing


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("original", [(64, 80), (131, 77)])
def test_the_device_finds_the_regions_of_the_truth(seed, original):
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((64, 80)).astype(np.float32)
    values = gaussian_filter(noise, rng.uniform(0.5, 4))
    if seed % 2:
        values = np.round(values, 2)  # equal peaks
    threshold = float(np.quantile(values, rng.uniform(0.3, 0.999)))
    placement = Preprocessing(size=(64, 80)).placement(original)
    found = find_regions(values, threshold, placement)
    assert found == reference_regions(values, threshold, placement)
    assert found


@pytest.mark.parametrize("score", ["dn2", "map"])
def test_the_reference_tells_regions_where_its_map_has_the_unit_of_the_score(parts, score):
    small = SpadeConfig(weights="untrained", backbone="resnet18", size=(64, 96), score=score)
    image = sorted((parts / "test/stain").iterdir())[0]
    prediction = ReferenceDetector(fit(parts / "train/good", small)).predict(image)
    known = score == "map"
    assert (prediction.regions is not None) == (prediction.mask is not None) == known
