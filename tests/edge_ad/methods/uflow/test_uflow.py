"""U-Flow from images to an artifact, small and barely trained."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner

from edge_ad import FittedDetector, ReferenceDetector, fit
from edge_ad.fitting.ensemble import join
from edge_ad.images.good import GoodImages
from edge_ad.methods.uflow.network import restore_network
from edge_ad.methods.uflow.reference import region_map
from edge_ad.methods.uflow.settings import UFlowConfig
from edge_ad.networks.run import TorchRun
from edge_ad_export import ExportConfig, export
from edge_ad_export.graph.onnx_graph import to_onnx
from edge_ad_runtime import Detector
from edge_ad_runtime.artifact.a_contrario_records import AContrarioRecord
from edge_ad_runtime.artifact.manifest import read_manifest
from edge_ad_runtime.commands.main import main
from edge_ad_runtime.decision.a_contrario.counting import log10_tests
from edge_ad_runtime.decision.a_contrario.tree import log10_nfa_of_regions
from edge_ad_runtime.engines import Graph
from edge_ad_runtime.engines.tensorrt.build import build_plan
from edge_ad_runtime.engines.tensorrt.library import open_library
from edge_ad_runtime.errors import ConfigError, ExportError
from edge_ad_runtime.images import read_image
from edge_ad_runtime.proof.verify import verify

SMALL = UFlowConfig(
    backbone="resnet18",
    weights="untrained",
    size=(64, 96),
    flow_steps=1,
    epochs=3,
    batch_size=2,
    learning_rate=2e-3,
    holdout_fraction=0.34,
)

pytestmark = pytest.mark.filterwarnings("ignore:latents of scale")  # barely trained


@pytest.fixture(scope="module")
def good(parts):
    return parts / "train/good"


@pytest.fixture(scope="module")
def fitted(good):
    return fit(good, SMALL)


@pytest.fixture(scope="module")
def artifact(fitted, tmp_path_factory):
    out = tmp_path_factory.mktemp("uflow") / "a.edgead"
    export(fitted, out, ExportConfig(reference_images=1))
    return out


def test_the_device_gives_the_scores_maps_and_masks_of_the_reference(fitted, artifact, parts):
    reference = ReferenceDetector(fitted)
    with Detector.load(artifact) as detector:
        for path in sorted((parts / "test").glob("*/000.png")):
            image = read_image(path)
            found, expected = detector.predict(image), reference.predict(image)
            assert found.score == pytest.approx(expected.score, rel=1e-3, abs=1e-2)
            np.testing.assert_allclose(found.map, expected.map, atol=1e-4)
            assert np.mean(found.mask != expected.mask) < 0.01
            assert (found.verdict == "anomalous") == found.mask.any() == (found.score > 0)


def test_it_verifies_and_its_stages_are_those_of_the_test(artifact):
    with Detector.load(artifact) as detector:
        report = verify(detector)
    assert report.ok
    assert [stage.stage for stage in report.stages] == [
        "preprocess", "level_0", "level_1", "level_2", "significance", "map", "score", "verdict",
        "regions",
    ]  # fmt: skip


def test_its_graph_has_what_a_device_needs_and_no_log_determinant(artifact):
    graph = onnx.load(artifact / "network.onnx").graph
    kinds = [node.op_type for node in graph.node]
    assert kinds.count("DepthToSpace") == 2
    assert {
        attribute.s
        for node in graph.node
        if node.op_type == "DepthToSpace"
        for attribute in node.attribute
        if attribute.name == "mode"
    } == {b"CRD"}
    assert kinds.count("Gather") >= 3  # a permutation for each step
    assert "Log" not in kinds
    assert not {"ReduceSum", "ReduceLogSum", "ConvTranspose"} & set(kinds)


def test_the_manifest_says_what_the_threshold_promises_and_what_good_images_make_of_it(
    fitted, artifact
):
    with Detector.load(artifact) as detector:
        calibration, head = detector.manifest.calibration, detector.manifest.members[0].head
    assert (calibration.method, calibration.threshold) == ("a-contrario", 0)
    assert calibration.false_alarms == 1
    assert calibration.images == sum(image.held_out for image in fitted.record.images) == 4
    assert isinstance(head, AContrarioRecord)
    assert [scale.grid for scale in head.scales] == [(16, 24), (8, 12), (4, 6)]
    assert [scale.degrees for scale in head.scales] == fitted.kept.degrees.tolist()
    assert head.price == fitted.kept.price


def test_a_fit_comes_back_from_its_folder(fitted, tmp_path):
    fitted.save(tmp_path / "a.fit")
    loaded = FittedDetector.load(tmp_path / "a.fit")
    assert loaded.config == fitted.config.resolved()
    image = fitted.originals[0]
    assert ReferenceDetector(loaded).predict(image).score == pytest.approx(
        ReferenceDetector(fitted).predict(image).score
    )


def test_a_split_conformal_threshold_and_fewer_false_alarms_can_be_asked_for(fitted):
    from edge_ad.fitting.fitting import calibration_of

    images = fitted.record.images
    scores = [image.left_out_score for image in images if image.held_out]
    split = calibration_of(images, replace(SMALL, calibration="split"))
    assert (split.method, split.threshold) == ("split-conformal", max(scores))
    assert calibration_of(images, replace(SMALL, false_alarms=0.01)).threshold == 2
    assert calibration_of([], replace(SMALL, holdout_fraction=0.0)).images == 0


@pytest.mark.parametrize("threshold", [0.0, -1.5, 2.0])
def test_any_threshold_can_be_given_as_scores_are_decades(fitted, threshold):
    given = join([fitted]).calibration(threshold)
    assert (given.method, given.threshold) == ("given", threshold)
    assert given.images == fitted.calibration.images


def test_a_negative_threshold_is_exported_and_decides(fitted, tmp_path):
    out = tmp_path / "a.edgead"
    export(fitted, out, ExportConfig(threshold=-1e6, reference_images=1))
    with Detector.load(out) as detector:
        assert detector.manifest.calibration.threshold == -1e6
        prediction = detector.predict(fitted.originals[0])
    assert prediction.verdict == "anomalous"
    assert prediction.mask.all()


def test_half_precision_is_exported_and_int8_refused_with_the_reason(fitted, tmp_path):
    out = tmp_path / "half.edgead"
    report = export(
        fitted, out, ExportConfig(precision="fp16", reference_images=1, accept_loss=True)
    )
    assert report.precision_loss is not None
    assert report.precision_loss.stages["level_0"] < 0.02
    with pytest.raises(ExportError, match="uflow has no int8 network: each coupling"):
        export(fitted, tmp_path / "b.edgead", ExportConfig(precision="int8"))


def test_windows_are_tested_where_that_is_asked_for(good, parts, tmp_path):
    fitted = fit(good, replace(SMALL, test="blocks", epochs=1, size=(96, 128)))
    export(fitted, tmp_path / "a.edgead", ExportConfig(reference_images=1))
    image = read_image(parts / "test/stain/000.png")
    with Detector.load(tmp_path / "a.edgead") as detector:
        found = detector.predict(image)
    assert found.score == pytest.approx(ReferenceDetector(fitted).predict(image).score, abs=0.05)


def test_a_latent_counts_for_no_more_than_the_limit_and_as_published_there_is_none(fitted):
    image = torch.from_numpy(fitted.held_out[:1])
    levels = {}
    for limit in (1.5, 5.0, 1000.0):
        config = replace(fitted.config, latent_limit=limit)
        levels[limit] = restore_network(config, fitted.state)(image)["level_0"]
    published = replace(fitted.config, null_hypothesis="normal", latent_limit=1.5)
    network = restore_network(published, fitted.state)
    assert levels[1.5].max() <= 1.5**2
    assert levels[1.5].mean() < levels[5.0].mean() <= levels[1000.0].mean()
    torch.testing.assert_close(network(image)["level_0"], levels[1000.0])
    z = network.flow(network.features(image))[0][0] * network.factors[0]
    torch.testing.assert_close(levels[5.0], z.square().clamp(max=25).mean(dim=1))


def test_latents_may_be_taken_for_normal_as_published(fitted):
    images = GoodImages(
        [Path(i.path) for i in fitted.record.images if not i.held_out], fitted.config.preprocessing
    )
    settings = replace(fitted.config, null_hypothesis="normal", counting="paper")
    run = TorchRun(fitted.network())
    kept = fitted.method.gather(run, images, settings, progress=False).kept
    assert kept.degrees.tolist() == kept.channels.tolist() == [84, 80, 128]
    assert kept.price == 0
    measured = fitted.method.gather(run, images, fitted.config, progress=False).kept
    assert (measured.degrees < kept.degrees).any()


def test_it_is_no_member_of_an_ensemble(fitted):
    with pytest.raises(ConfigError, match="of uflow, whose scores are logarithms"):
        join([fitted, fitted])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": (72, 96)}, r"grids of .* a flow needs each twice the next"),
        ({"layers": (1, 3)}, r"layers 1 and the next have grids"),
    ],
)
def test_layers_that_cannot_be_joined_are_refused(good, settings, message):
    with pytest.raises(ConfigError, match=message):
        fit(good, replace(SMALL, **settings))


def test_settings_that_cannot_work_are_refused():
    with pytest.raises(ConfigError, match="false_reject_rate is 0.1 and calibration a-contrario"):
        replace(SMALL, false_reject_rate=0.1)
    with pytest.raises(ConfigError, match="calibration is 'leave-one-out'; of uflow it must be"):
        replace(SMALL, calibration="leave-one-out")
    assert replace(SMALL, calibration="split", false_reject_rate=0.2).resolved_holdout_fraction


@pytest.mark.parametrize("counting", ["paper", "by-size"])
def test_the_test_on_the_device_is_the_references(counting):
    rng = np.random.default_rng(0)
    levels = (rng.chisquare(12, (16, 24)) / 12).round(2) + 0.01
    levels[3:7, 5:12] += 2
    (tests,) = log10_tests([levels.shape], counting)
    expected = region_map(levels, 12, tests.tolist())
    np.testing.assert_allclose(log10_nfa_of_regions(levels, 12, tests), expected, atol=1e-9)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_tensorrt_plans_build(fitted, precision):
    pytest.importorskip("tensorrt_rtx")
    network = fitted.network()
    network = network.in_half() if precision == "fp16" else network
    graph = Graph(onnx=to_onnx(network, SMALL.size))
    plan = build_plan(open_library("tensorrt_rtx"), graph, capability=(8, 9))
    assert b"level_2" in plan


def test_the_device_moves_the_threshold_by_false_alarms_by_a_rate_and_by_hand(artifact, tmp_path):
    def moved(name, *arguments):
        out = str(tmp_path / name)
        command = ["threshold", str(artifact), *map(str, arguments), "--out", out]
        result = CliRunner().invoke(main, command)
        assert result.exit_code == 0, result.output
        return read_manifest(tmp_path / name).calibration

    before = read_manifest(artifact).calibration
    by_alarms = moved("alarms.edgead", "--false-alarms", 1000)
    assert (by_alarms.method, by_alarms.threshold) == ("a-contrario", pytest.approx(-3))
    by_rate = moved("rate.edgead", "--false-reject-rate", 1 / (before.images + 1))
    assert (by_rate.method, by_rate.threshold) == ("split-conformal", before.scores[-1])
    by_hand = moved("hand.edgead", "--set", -2.5)
    assert (by_hand.method, by_hand.threshold) == ("given", -2.5)
    assert by_hand.exported.method == "a-contrario"
