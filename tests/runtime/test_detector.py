import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from edge_ad_runtime import Detector, Prediction
from edge_ad_runtime.decision.threshold import verdict_of
from edge_ad_runtime.errors import ConfigError, EdgeADError, EngineError, ImageError
from edge_ad_runtime.images import read_image
from edge_ad_runtime.loaded_member import LoadedMember
from edge_ad_runtime.prediction import error_record


@pytest.fixture(scope="module")
def detector(tiny):
    return Detector.load(tiny)


def test_it_tells_a_good_part_from_a_stained_one(detector, tiny):
    good = detector.predict(tiny / "reference/0-good.png")
    bad = detector.predict(str(tiny / "reference/0-stain.png"))
    assert (good.verdict, bad.verdict) == ("good", "anomalous")
    assert good.score < bad.score
    assert bad.threshold == detector.manifest.calibration.threshold


def test_a_prediction_has_a_map_at_input_size_and_a_time_per_stage(detector, good_image):
    prediction = detector.predict(good_image)
    assert isinstance(prediction, Prediction)
    assert prediction.map.shape == detector.manifest.preprocessing.size
    assert prediction.map.dtype == np.float32
    assert list(prediction.timings_ms) == [
        *("decode", "preprocess", "network", "search", "postprocess", "total")
    ]
    *stages, total = prediction.timings_ms.values()
    assert sum(stages) == pytest.approx(total, abs=0.05)


def test_a_file_and_its_pixels_score_the_same(detector, good_image):
    from_pixels = detector.predict(read_image(good_image))
    assert from_pixels.score == detector.predict(good_image).score


def test_images_of_any_size_are_taken(detector):
    image = np.random.default_rng(0).integers(0, 256, (37, 301, 3), dtype=np.uint8)
    assert detector.predict(image).map.shape == (64, 80)


@pytest.mark.parametrize("bad", [np.zeros((5, 5, 4), np.uint8), np.zeros((5, 5, 3)), None, 3])
def test_what_is_no_image_is_refused(detector, bad):
    with pytest.raises(ImageError, match="expected an"):
        detector.predict(bad)


def test_threads_may_share_it(detector, tiny):
    images = [read_image(tiny / f"reference/0-{kind}.png") for kind in ("good", "stain")] * 20
    alone = [detector.predict(image).score for image in images]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda image: detector.predict(image).score, images))
    assert together == alone


def test_the_number_of_threads_does_not_change_the_score(tiny, good_image):
    one, two = (Detector.load(tiny, threads=n).predict(good_image).score for n in (1, 2))
    assert one == pytest.approx(two, rel=1e-5)


def test_no_threads_are_refused(tiny):
    with pytest.raises(ConfigError, match="at least 1"):
        Detector.load(tiny, threads=0)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_features_that_are_not_finite_are_never_good(detector, good_image, value, monkeypatch):
    run = detector.engine.run

    def broken(images):
        outputs = run(images)
        outputs["features"][0, 3, 3, 5] = value
        return outputs

    monkeypatch.setattr(detector.engine, "run", broken)
    with pytest.raises(EdgeADError, match="not finite"):
        detector.predict(good_image)


def test_a_score_that_is_not_a_number_has_no_verdict():
    assert (verdict_of(1.0, 1.0), verdict_of(1.1, 1.0)) == ("good", "anomalous")
    with pytest.raises(EdgeADError, match="cannot be judged"):
        verdict_of(float("nan"), 1.0)


def test_a_graph_that_the_engine_refuses_is_an_engine_error():
    from edge_ad_runtime.engines import Graph, open_engine

    with pytest.raises(EngineError, match="refuses the graph"):
        open_engine("onnxruntime", Graph(onnx=b"not a graph"))


def test_without_onnx_runtime_the_message_says_what_to_install(monkeypatch):
    from edge_ad_runtime.engines import Graph, open_engine

    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(EngineError, match=r"pip install 'edge-ad-runtime\[cpu\]'"):
        open_engine("onnxruntime", Graph(onnx=b""))


def test_an_unknown_engine_is_refused(tiny):
    with pytest.raises(ConfigError, match="engine is 'tpu'"):
        Detector.load(tiny, engine="tpu")


def test_scoring_imports_neither_torch_nor_the_workshop(tiny, good_image):
    code = (
        "import sys; from edge_ad_runtime import Detector;"
        "Detector.load(sys.argv[1]).predict(sys.argv[2]);"
        "print(sorted({'torch', 'onnx', 'scipy', 'edge_ad', 'edge_ad_export'} & set(sys.modules)))"
    )
    child = subprocess.run(
        [sys.executable, "-c", code, tiny, good_image], capture_output=True, text=True, check=True
    )
    assert child.stdout.strip() == "[]"


def test_a_batch_gives_what_its_images_give_alone(tiny, good_image):
    detector = Detector.load(tiny)
    noise = np.random.default_rng(0).integers(0, 256, (90, 70, 3), dtype=np.uint8)
    images = [good_image, noise, str(good_image)]
    alone = [detector.predict(image) for image in images]
    for found, expected in zip(detector.predict_batch(images), alone, strict=True):
        # the network's sums may be in another order for a batch
        assert found.score == pytest.approx(expected.score, rel=1e-4)
        assert found.verdict == expected.verdict
        assert np.allclose(found.map, expected.map, rtol=1e-3, atol=1e-4)
        assert set(found.timings_ms) == set(expected.timings_ms)
    assert detector.predict_batch([]) == []


def test_a_batch_with_a_bad_image_is_refused_whole(tiny, good_image, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(good_image.read_bytes()[:100])
    with pytest.raises(ImageError, match=r"bad\.png"):
        Detector.load(tiny).predict_batch([good_image, bad])


@pytest.mark.parametrize("count", [0, 1, 7])
def test_a_stream_keeps_the_order_and_goes_on_after_a_bad_image(tiny, good_image, tmp_path, count):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"")
    detector = Detector.load(tiny)
    images = ([good_image, bad] * count)[:count]
    found = list(detector.stream(images, with_map=False))
    assert [isinstance(each, ImageError) for each in found] == [image == bad for image in images]
    score = detector.predict(good_image).score
    assert [each.score for each in found[::2]] == [score] * len(found[::2])


def test_a_stream_reads_ahead_only_a_little(tiny, good_image):
    taken = []

    def camera():
        for i in range(100):
            taken.append(i)
            yield good_image

    stream = Detector.load(tiny).stream(camera())
    next(stream)
    assert len(taken) <= 4
    stream.close()


def test_a_closed_detector_has_given_its_threads_back_and_predicts_no_more(tiny, good_image):
    with Detector.load(tiny, threads=2) as detector:
        assert detector.predict(good_image).verdict == "good"
        pool = vars(detector.members[0].head)["_search"]._helpers
        assert any(thread.is_alive() for thread in pool._threads)
    assert not any(thread.is_alive() for thread in pool._threads)
    with pytest.raises(EngineError, match="closed; load the artifact again"):
        detector.predict(good_image)
    detector.close()  # once more does no harm


def test_what_was_loaded_is_closed_if_the_rest_cannot_be(tiny, monkeypatch):
    closed = []
    monkeypatch.setattr(Detector, "_warm_up", lambda self: 1 / 0)
    monkeypatch.setattr(LoadedMember, "close", lambda self: closed.append(self))
    with pytest.raises(ZeroDivisionError):
        Detector.load(tiny, threads=2)
    assert len(closed) == 1


def test_the_record_of_a_verdict_is_made_in_one_place(detector, tiny, good_image):
    prediction = detector.predict(good_image)
    record = prediction.to_record(good_image)
    assert list(record) == [
        *("path", "score", "threshold", "verdict", "exact", "scanned", "bound"),
        *("deciding", "regions", "timings_ms"),
    ]
    assert json.loads(prediction.to_json(good_image)) == record
    assert "regions" not in detector.predict(good_image, with_map=False).to_record(good_image)
    error = error_record("x.png", EdgeADError("gone"), threshold=0.5)
    assert error == {
        "path": "x.png", "score": None, "threshold": 0.5, "verdict": "error", "timings_ms": {},
        "error": "gone",
    }  # fmt: skip


def test_regions_say_where_the_image_is_anomalous_in_its_own_pixels(detector, tiny):
    stained = read_image(tiny / "reference/0-stain.png")
    larger = np.repeat(np.repeat(stained, 2, axis=0), 3, axis=1)
    prediction, of_larger = detector.predict(stained), detector.predict(larger)
    (region, *_) = prediction.regions
    assert region.to_record() == prediction.to_record("x.png")["regions"][0]
    top, left, height, width = region.box
    heat, _ = detector.manifest.preprocessing.back_on(prediction.map, stained.shape[:2])
    assert heat[region.peak] == pytest.approx(heat.max(), rel=0.02)
    assert region.peak_score == prediction.map.max() > prediction.threshold
    assert heat[top : top + height, left : left + width].max() == heat.max()
    found = np.array(of_larger.regions[0].box) / (2, 3, 2, 3)
    assert np.abs(found - region.box).max() <= 6  # two pixels of the network's input
