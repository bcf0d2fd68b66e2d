from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_ad_runtime.artifact.head_records import (
    ExactSearchRecord,
    GalleryLayer,
    GalleryRecord,
    GallerySearchRecord,
    HnswSearchRecord,
    MapSettings,
)
from edge_ad_runtime.errors import ArtifactError, EdgeADError
from edge_ad_runtime.heads import Opening, open_head
from edge_ad_runtime.heads.in_memory import InMemory
from edge_ad_runtime.heads.stages import own_stages

PLAIN = MapSettings(upsampling="bilinear", blur_sigma_px=0.0, border="reflect")
FINE = GalleryLayer(output="layer1", grid=(4, 6), dimension=3)
COARSE = GalleryLayer(output="layer2", grid=(2, 3), dimension=5)
RECORD = GallerySearchRecord(
    gallery=GalleryRecord(images=8, dimension=4),
    search=ExactSearchRecord(reason="test"),
    neighbours=3,
    squared=True,
    score="dn2",
    layers=(FINE, COARSE),
    pixel_neighbours=1,
    window=None,
    mapped="always",
    map=PLAIN,
)
SIZE = (16, 24)


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return {
        "gallery.npy": rng.standard_normal((8, 4), dtype=np.float32),
        "layer1.npy": rng.standard_normal((8, 4, 6, 3)).astype(np.float16),
        "layer2.npy": rng.standard_normal((8, 2, 3, 5)).astype(np.float16),
    }


@pytest.fixture
def outputs():
    rng = np.random.default_rng(1)
    return {
        "pooled": rng.standard_normal(4, dtype=np.float32),
        "layer1": rng.standard_normal((4, 6, 3), dtype=np.float32),
        "layer2": rng.standard_normal((2, 3, 5), dtype=np.float32),
    }


def head(arrays, record=RECORD, **opening):
    return open_head(record, InMemory(arrays), Opening(**{"size": SIZE, **opening}))


def slow(arrays, outputs, record=RECORD):
    """The squared distances of the K nearest images, and the layers' distances from these."""
    squares = ((arrays["gallery.npy"].astype(np.float64) - outputs["pooled"]) ** 2).sum(axis=1)
    nearest = np.argsort(squares)[: record.neighbours]
    distances = {}
    for layer in record.layers:
        good = arrays[f"{layer.output}.npy"][nearest].astype(np.float64)
        good = good.reshape(-1, 1, 1, layer.dimension)
        distances[layer.output] = np.sqrt(((outputs[layer.output] - good) ** 2).sum(axis=3)).min(
            axis=0
        )
    return squares[nearest], distances


def test_the_score_is_the_mean_squared_distance_and_the_map_the_mean_of_the_layers(arrays, outputs):
    squares, distances = slow(arrays, outputs)
    judged = head(arrays).judge(outputs, with_map=True)
    assert judged.score == pytest.approx(squares.mean())
    layers = [cv2.resize(values, SIZE[::-1]) for values in distances.values()]
    assert np.allclose(judged.map, np.mean(layers, axis=0), rtol=1e-5)
    assert judged.evidence == {"mapped": True}
    unsquared = head(arrays, replace(RECORD, squared=False)).judge(outputs, with_map=False)
    assert unsquared.score == pytest.approx(np.sqrt(squares).mean())
    assert (unsquared.map, unsquared.evidence) == (None, {"mapped": False})


def test_the_score_may_be_the_maps_largest_value(arrays, outputs):
    gallery_search = head(arrays, replace(RECORD, score="map"))
    judged = gallery_search.judge(outputs, with_map=True)
    assert judged.score == judged.map.max()
    assert gallery_search.map_in_unit_of_score and not head(arrays).map_in_unit_of_score
    assert gallery_search.judge(outputs, with_map=False).score == judged.score


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_any_number_of_threads_gives_the_same(arrays, outputs, threads):
    expected = head(arrays).judge(outputs, with_map=True)
    found = head(arrays, threads=threads).judge(outputs, with_map=True)
    assert found.score == expected.score
    assert np.allclose(found.map, expected.map, rtol=1e-6)


@pytest.mark.parametrize(
    "changes",
    [{}, {"score": "map"}, {"window": 1, "pixel_neighbours": 4}, {"neighbours": 8}],
)
def test_its_stages_replayed_are_what_it_judges(arrays, outputs, changes):
    gallery_search = head(arrays, replace(RECORD, **changes))
    judged = gallery_search.judge(outputs, with_map=True)
    before = dict(outputs)
    for stage in own_stages(gallery_search):
        before[stage.name] = gallery_search.replay(stage.name, before)
        found = before[stage.name]
        assert (found.dtype, found.shape) == gallery_search.shapes[stage.name]
    assert [stage.name for stage in own_stages(gallery_search)] == [
        *("pooled", "layer1", "layer2", "image_distances", "layer1_distances", "layer2_distances")
    ]
    assert np.allclose(gallery_search.replay("map", before), judged.map, rtol=1e-6)
    assert gallery_search.replay("score", before) == pytest.approx(judged.score, rel=1e-6)


def test_later_stages_take_the_images_that_an_earlier_one_says_are_nearest(arrays, outputs):
    """Two images may be equally near but for the last digit, which another device rounds so."""
    gallery_search = head(arrays, replace(RECORD, neighbours=1))
    for nearest in range(8):
        distances = np.ones(8)
        distances[nearest] = 0.5
        before = {**outputs, "image_distances": distances}
        good = arrays["layer2.npy"][nearest].reshape(-1, 1, 1, 5).astype(np.float64)
        expected = np.sqrt(((outputs["layer2"] - good) ** 2).sum(axis=3)).min(axis=0)
        found = gallery_search.replay("layer2_distances", before)
        assert np.allclose(found, expected, rtol=1e-5)
        assert gallery_search.replay("score", before) == 0.5


def test_with_suspicious_good_images_have_no_map(arrays, outputs):
    score = head(arrays).judge(outputs, with_map=False).score
    record = replace(RECORD, mapped="suspicious")
    good = head(arrays, record, map_above=score).judge(outputs, with_map=True)
    assert (good.map, good.score, good.evidence) == (None, score, {"mapped": False})
    anomalous = head(arrays, record, map_above=score * 0.999).judge(outputs, with_map=True)
    assert anomalous.map is not None
    assert anomalous.evidence == {"mapped": True}
    assert anomalous.timings_ms.keys() == good.timings_ms.keys()
    in_an_ensemble = head(arrays, record, map_above=None).judge(outputs, with_map=True)
    assert np.array_equal(in_an_ensemble.map, anomalous.map)


@pytest.mark.parametrize("name", ["pooled", "layer1", "layer2"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e16])
def test_values_that_are_not_finite_are_never_good(arrays, outputs, name, value):
    outputs[name].flat[2] = value
    for record in (RECORD, replace(RECORD, mapped="suspicious")):
        with pytest.raises(EdgeADError, match="not finite, or too large to square"):
            head(arrays, record, map_above=1e9).judge(outputs, with_map=False)
    with pytest.raises(EdgeADError, match="not finite"):
        head(arrays).replay(name, outputs)


@pytest.mark.parametrize("name", ["gallery.npy", "layer1.npy", "layer2.npy"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_good_images_that_are_not_finite_are_refused(arrays, name, value):
    arrays[name].flat[-1] = value
    with pytest.raises(ArtifactError, match="not finite") as caught:
        head(arrays)
    assert caught.value.path == Path(name)


@pytest.mark.parametrize("changes", [{}, {"squared": False}, {"score": "map"}])
def test_a_threshold_that_no_image_can_reach_is_refused(arrays, outputs, changes):
    record = replace(RECORD, **changes)
    score = head(arrays, record).judge(outputs, with_map=False).score
    head(arrays, record, threshold=10 * score)
    with pytest.raises(ArtifactError, match="no image could be anomalous"):
        head(arrays, record, threshold=1e5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"neighbours": 9}, "9 neighbours of a gallery of 8"),
        ({"layers": ()}, "at least one"),
        ({"layers": (FINE, replace(COARSE, output="layer1"))}, "none twice"),
        ({"pixel_neighbours": 19}, "19 neighbours of a position of layer2, .* with 18"),
        ({"window": 0, "pixel_neighbours": 4}, "compared with 3"),
        ({"score": "map", "mapped": "suspicious"}, "only suspicious images have"),
    ],
)
def test_records_that_contradict_themselves_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(RECORD, **changes)


def test_an_index_searched_too_narrowly_is_refused():
    search = HnswSearchRecord(
        code_dimension=4,
        links=8,
        ef_construction=50,
        ef_search=2,
        candidates=3,
        rounds=0,
        reason="",
    )
    with pytest.raises(ValueError, match="3 neighbours searched with ef 2"):
        replace(RECORD, search=search)
