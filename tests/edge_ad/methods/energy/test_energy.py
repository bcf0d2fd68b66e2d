"""Energy-based detection from images to an artifact, small and barely trained."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from edge_ad import EnergyConfig, FittedDetector, PatchCoreConfig, ReferenceDetector, fit
from edge_ad.fitting.ensemble import join
from edge_ad.methods.energy.network import build_network
from edge_ad.methods.energy.scores import Scores, energies_of
from edge_ad.methods.judge import Judge
from edge_ad.networks.run import TorchRun
from edge_ad_export import ExportConfig, export
from edge_ad_runtime import Detector
from edge_ad_runtime.errors import ConfigError, ExportError, FitError
from edge_ad_runtime.images import read_image
from edge_ad_runtime.proof.verify import verify

SCORES = ("energy", "gradient-norm", "gradient-max", "gradient-mean")


@pytest.mark.parametrize("space", ["features", "pixels"])
def test_the_device_gives_the_scores_and_maps_of_the_reference(space, request, parts):
    suffix = "" if space == "features" else "_pixels"
    reference = ReferenceDetector(request.getfixturevalue("fitted" + suffix))
    artifact = request.getfixturevalue("artifact" if space == "features" else "pixels_artifact")
    with Detector.load(artifact) as detector:
        for path in sorted((parts / "test").glob("*/000.png")):
            image = read_image(path)
            found, expected = detector.predict(image), reference.predict(image)
            assert found.score == pytest.approx(expected.score, rel=1e-3)
            np.testing.assert_allclose(found.map, expected.map, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["artifact", "pixels_artifact"])
def test_it_verifies_and_its_stages_are_energy_gradient_map_and_score(name, request):
    with Detector.load(request.getfixturevalue(name)) as detector:
        report = verify(detector)
    assert report.ok
    stages = [stage.stage for stage in report.stages]
    assert stages[:6] == ["preprocess", "energy", "gradient", "map", "score", "verdict"]


def test_a_device_whose_energies_are_other_ones_is_told_so(artifact, tmp_path):
    """The energy has no part in the score gradient-max, and is compared all the same."""
    import onnx

    from edge_ad_runtime.engines import Graph, open_engine

    model = onnx.load(artifact / "network.onnx")
    (median,) = (c for c in model.graph.initializer if c.name.endswith("median"))
    values = onnx.numpy_helper.to_array(median) * np.float32(0.9)
    median.CopyFrom(onnx.numpy_helper.from_array(values, median.name))
    with Detector.load(artifact) as detector:
        (member,) = detector.members
        member.engine = open_engine("onnxruntime", Graph(onnx=model.SerializeToString()))
        report = verify(detector)
    assert report.first_failure is not None
    assert report.first_failure.stage == "energy"


@pytest.mark.parametrize("score", SCORES)
def test_every_score_is_what_its_name_says(score, fitted):
    named = replace(fitted, config=replace(fitted.config, score=score))
    image = fitted.originals[0]
    trace = ReferenceDetector(named).trace(image)
    network = fitted.network()
    pixels = torch.from_numpy(fitted.config.preprocessing.apply(image))[None]
    x = (network.values(pixels) - network.level) / network.spread
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(network.energy(x).sum(), x)
    gradient = gradient[:, :, network.margin : -network.margin, network.margin : -network.margin]
    magnitude = gradient.abs().sum(dim=1)
    energy = float(network.energy(x).detach())
    median, spread = float(fitted.kept.median[0]), float(fitted.kept.spread[0])
    expected = {
        "energy": np.logaddexp(0, (energy - median) / spread),
        "gradient-norm": float(gradient.norm()),
        "gradient-max": float(trace["map"].max()),
        "gradient-mean": float(magnitude.mean()),
    }
    assert float(trace["score"]) == pytest.approx(expected[score], rel=1e-3)
    np.testing.assert_allclose(trace["gradient"], magnitude[0].detach(), rtol=1e-3, atol=1e-5)
    judge = Judge(TorchRun(network), named.lower(network), fitted.config.size)
    assert judge.score(pixels[0].numpy()) == pytest.approx(expected[score], rel=1e-3)
    assert judge.head.map_in_unit_of_score == (score == "gradient-max")


def test_the_energys_score_orders_images_as_their_energies_do_and_is_never_below_0():
    good = energies_of(np.array([90.0, 100.0, 104.0, 120.0], np.float32))
    assert good.median == 102
    energies = torch.tensor([-1e6, 0.0, 99.0, 102.0, 103.0, 200.0, 1e6])
    found = Scores(good, "energy")(energies, torch.zeros(7, 2, 2), torch.zeros(7))["score"]
    assert found[0] == 0
    assert (found.diff()[1:] > 0).all()
    assert found[3] == pytest.approx(np.log(2))
    assert torch.isfinite(found).all()


def test_one_image_gives_a_spread_too():
    assert energies_of(np.array([50.0], np.float32)).spread == 0.5


def test_a_fit_comes_back_from_its_folder(fitted, tmp_path):
    fitted.save(tmp_path / "a.fit")
    loaded = FittedDetector.load(tmp_path / "a.fit")
    assert loaded.config == fitted.config.resolved()
    image = fitted.originals[0]
    assert ReferenceDetector(loaded).predict(image).score == pytest.approx(
        ReferenceDetector(fitted).predict(image).score
    )


def test_pixels_need_no_pretrained_network_and_their_artifact_is_small(pixels_artifact):
    with Detector.load(pixels_artifact) as detector:
        origin = detector.manifest.members[0].network.origin
    assert origin == {"method": "energy", "space": "pixels", "trainer": "dsm", "score": "energy"}
    assert (pixels_artifact / "network.onnx").stat().st_size < 400_000


@pytest.mark.parametrize("space", ["features", "pixels"])
def test_the_border_of_an_even_image_does_not_light_up(space, request):
    """Untrained weights are any filters: what they give of a grey image is the same everywhere."""
    base = request.getfixturevalue(space)
    network = build_network(replace(base, size=(96, 96), seed=1))
    grey = torch.full((1, 96, 96, 3), 130, dtype=torch.uint8)
    with torch.inference_mode():
        gradient = network(grey)["gradient_magnitude"][0]
    middle = gradient[tuple(slice(n // 3, 2 * n // 3) for n in gradient.shape)]
    assert gradient.max() < 1.1 * middle.mean()
    assert gradient.min() > 0.9 * middle.mean()


def test_half_precision_is_of_the_backbone_and_int8_is_refused_with_the_reason(fitted, tmp_path):
    config = ExportConfig(precision="fp16", reference_images=1)
    report = export(fitted, tmp_path / "half.edgead", config)
    assert report.precision_loss is not None
    assert report.precision_loss.stages["gradient"] < 0.02
    with pytest.raises(ExportError, match="energy has no int8 network: its map is the gradient"):
        export(fitted, tmp_path / "b.edgead", ExportConfig(precision="int8"))


def test_pixels_have_no_half_precision(fitted_pixels, tmp_path):
    with pytest.raises(ExportError, match="energy has no network in half precision"):
        export(fitted_pixels, tmp_path / "a.edgead", ExportConfig(precision="fp16"))


def test_energy_and_patchcore_answer_together(fitted, parts):
    other = PatchCoreConfig(
        weights="untrained", layers=(1, 2), size=(64, 80), coreset_fraction=0.1,
        holdout_fraction=fitted.config.holdout_fraction,
    )  # fmt: skip
    assert join([fit(parts / "train/good", other), fitted]).scales[1] > 0


def test_one_image_is_enough_without_a_threshold(parts, pixels):
    (path, *_) = sorted((parts / "train/good").iterdir())
    fitted = fit([path], replace(pixels, holdout_fraction=0.0))
    assert fitted.record.calibration is None
    assert ReferenceDetector(fitted).trace(read_image(path))["score"] > 0
    with pytest.raises(FitError, match="at least 2"):
        fit([path], pixels)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"space": "pixels", "backbone": "resnet18"}, "backbone is 'resnet18' and space 'pixels'"),
        ({"space": "pixels", "weights": "untrained"}, "weights is 'untrained' and space"),
        ({"space": "pixels", "layers": (1,)}, r"layers is \(1,\) and space 'pixels'"),
        ({"layers": (1, 2)}, "layers is 1,2 and taps 1; an energy is of the features of one stage"),
        ({"langevin_steps": 5}, "langevin_steps is 5 and trainer 'dsm', .*leave --langevin-steps"),
        ({"trainer": "cd", "most_noise": 2.0}, "most_noise is 2.0 and trainer 'cd'"),
        ({"least_noise": 2.0}, "least_noise is 2 and most_noise 1"),
        ({"calibration": "leave-one-out"}, "of energy it must be split"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        EnergyConfig(**settings)


def test_images_too_small_to_be_continued_are_refused(features):
    with pytest.raises(ConfigError, match=r"size is 32x80; .* by 32 pixels .* a --size of 33 or"):
        build_network(replace(features, size=(32, 80)))


def test_images_of_another_size_are_scored_at_the_fits(artifact, parts):
    image = read_image(parts / "test/good/000.png")
    with Detector.load(artifact) as detector:
        assert detector.predict(image[::2, ::2]).map.shape == (64, 80)
