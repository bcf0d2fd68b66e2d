import numpy as np
import pytest

from edge_ad.images.good import GoodImages
from edge_ad.methods.uflow.null import look_at_latents, price_of, warn_of_variances
from edge_ad_runtime.artifact.a_contrario_records import (
    AContrarioRecord,
    ScaleRecord,
    TreeTestRecord,
)
from edge_ad_runtime.errors import EdgeADWarning
from edge_ad_runtime.heads import Opening, open_head
from edge_ad_runtime.heads.in_memory import InMemory
from edge_ad_runtime.images.preprocess import Preprocessing

CHANNELS, GRIDS, SIZE = (24, 30), ((16, 16), (8, 8)), (32, 32)


def looked_at(degrees, count=6, seed=0):
    """What a network whose levels have these degrees of freedom shows on so many images."""
    rng = np.random.default_rng(seed)

    def run(batch):
        pairs = zip(degrees, GRIDS, strict=True)
        levels = [rng.chisquare(d, (len(batch), *grid)) / d for d, grid in pairs]
        return {f"level_{i}": level.astype(np.float32) for i, level in enumerate(levels)}

    blank = np.zeros((count, *SIZE, 3), np.uint8)
    return look_at_latents(run, GoodImages.in_memory(blank, Preprocessing(size=SIZE)), CHANNELS)


def record(latents, price=0.0):
    pairs = zip(GRIDS, latents.degrees.tolist(), strict=True)
    scales = tuple(ScaleRecord(grid=grid, degrees=d) for grid, d in pairs)
    return AContrarioRecord(scales=scales, test=TreeTestRecord(counting="by-size"), price=price)


def scores(latents, outputs, price=0.0):
    head = open_head(record(latents, price), InMemory({}), Opening(size=SIZE))
    return [head.judge(each, with_map=False).score for each in outputs]


def test_normal_latents_have_as_many_degrees_of_freedom_as_channels_and_no_price():
    latents, outputs = looked_at(CHANNELS)
    assert latents.grids.tolist() == [[16, 16], [8, 8]]
    assert latents.means == pytest.approx([1, 1], abs=0.05)
    assert latents.variances == pytest.approx([2 / 24, 2 / 30], rel=0.2)
    assert latents.with_measured_degrees().degrees == pytest.approx(CHANNELS, rel=0.2)
    assert price_of(record(latents), outputs, SIZE) == 0


def test_latents_that_depend_on_one_another_have_fewer_on_the_scale_where_they_do():
    latents, outputs = looked_at((24, 3))
    assert max(scores(latents, outputs)) > 0  # taken for normal they are alarms
    measured = latents.with_measured_degrees()
    assert measured.degrees == pytest.approx([24, 3], rel=0.3)
    assert (measured.degrees <= CHANNELS).all()
    assert max(scores(measured, outputs)) <= 0


# So many may need more than the price, where more than 5% of parts need more in one fit of ten: see
# tables of tolerance limits (Wilks 1941; ISO 16269-6), with 45, 77, 105 images for 0, 1, 2.
@pytest.mark.parametrize(
    ("count", "alarms"), [(4, 0), (45, 0), (76, 0), (77, 1), (104, 1), (105, 2)]
)
def test_the_price_is_a_tolerance_limit(count, alarms):
    latents, outputs = looked_at((2, 2), count)
    assert min(scores(latents, outputs)) > 0
    price = price_of(record(latents), outputs, SIZE)
    found = np.array(scores(latents, outputs, price))
    assert (found > 1e-5).sum() == alarms  # float32: the one that sets the price is at 0
    assert (found > -1e-5).sum() == alarms + 1


def test_latents_that_vary_far_more_than_normal_are_warned_of():
    warn_of_variances([np.array([0.9, 1.4]), np.array([1.0])])
    with pytest.warns(EdgeADWarning, match=r"scale 1 have a variance of 3.00 .* 2.00 to 4.00"):
        warn_of_variances([np.array([1.0]), np.array([2.0, 4.0])])
