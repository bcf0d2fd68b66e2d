import shutil
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import onnx
import pytest

from edge_ad import FittedDetector, fit
from edge_ad_export import ExportConfig, export
from edge_ad_export.graph.onnx_graph import to_onnx
from edge_ad_export.precision import reduce
from edge_ad_export.precision.int8 import FEWEST_IMAGES, _with_scale_in_weights
from edge_ad_runtime import Detector
from edge_ad_runtime.artifact.manifest import FILE_NAME
from edge_ad_runtime.engines import Graph, open_engine
from edge_ad_runtime.errors import ConfigError, EngineError, ExportError, FitError
from edge_ad_runtime.heads.patch_search import BANK
from edge_ad_runtime.proof.verify import verify

needs_openvino = pytest.mark.skipif(not find_spec("openvino"), reason="openvino is not installed")


@pytest.fixture(scope="module")
def good(parts, tmp_path_factory):
    """A folder that may be changed."""
    return shutil.copytree(parts / "train/good", tmp_path_factory.mktemp("own") / "good")


@pytest.fixture(scope="module")
def many_held_out(good, small) -> FittedDetector:
    return fit(good, replace(small, holdout_fraction=0.7))


@pytest.fixture(
    scope="module",
    params=[
        ("fp16", "onnxruntime"),
        ("int8", "onnxruntime"),
        pytest.param(("fp16", "openvino"), marks=needs_openvino),
        pytest.param(("bf16", "openvino"), marks=needs_openvino),
        pytest.param(("int8", "openvino"), marks=needs_openvino),
    ],
    ids="-".join,
)
def exported(request, many_held_out, tmp_path_factory):
    precision, engine = request.param
    if precision == "bf16" and not request.getfixturevalue("processor_has_bfloat16"):
        pytest.skip("this processor has no bfloat16")
    out = tmp_path_factory.mktemp("precision") / "plate.edgead"
    config = ExportConfig(precision=precision, engine=engine, accept_loss=True)
    return export(many_held_out, out, config)


def test_it_verifies_against_the_exported_network_and_against_float32(exported):
    detector = Detector.load(exported.path)
    report = verify(detector)
    assert report.ok
    assert report.engine == detector.manifest.engine
    stages = {stage.stage: stage for stage in report.stages}
    assert 0 < stages["precision"].worst_difference <= stages["precision"].tolerance
    assert stages["score"].worst_difference < 0.1 * stages["precision"].worst_difference


def test_the_bank_and_the_threshold_are_those_of_the_exported_network(exported, many_held_out):
    detector = Detector.load(exported.path)
    bank = np.load(exported.path / BANK)
    assert bank.shape == many_held_out.kept.features.shape
    assert not np.array_equal(bank, many_held_out.kept.features)
    learned = [image for image in many_held_out.record.images if not image.held_out]
    for image in learned:  # every patch of theirs is in the bank, or near one that is
        assert detector.predict(image.path).verdict == "good"
    assert detector.manifest.calibration.threshold != many_held_out.calibration.threshold


def test_the_manifest_states_the_loss(exported):
    manifest = Detector.load(exported.path).manifest
    (member,) = manifest.members
    loss = manifest.precision_loss
    assert loss == exported.precision_loss
    assert 0 < loss.score_mean <= loss.score_worst
    assert loss.accepted == (loss.score_mean > ExportConfig().loss_tolerance)
    assert member.network.precision in exported.networks[0]
    is_int8 = member.network.precision == "int8"
    assert member.network.quantised_for == ("any" if is_int8 else None)
    text = (exported.path / FILE_NAME).read_text(encoding="utf-8")
    assert ('"quantised_for": "any"' in text) == ("quantised_for" in text) == is_int8


@pytest.mark.parametrize("engine", ["tensorrt", "onnxruntime"])
def test_int8_graphs(many_held_out, engine):
    """The aggregation is in float; TensorRT gets zero points of zero."""
    network = many_held_out.network()
    config = ExportConfig(precision="int8", engine=engine)
    plain = to_onnx(network, many_held_out.config.size)
    quantised, _ = reduce(many_held_out, many_held_out.lower(network), plain, config)
    graph = onnx.load_from_string(quantised).graph
    producers = {name: node for node in graph.node for name in node.output}
    for pool in (node for node in graph.node if node.op_type == "AveragePool"):
        assert producers[pool.input[0]].op_type == "DequantizeLinear"
    assert sum(node.op_type == "QuantizeLinear" for node in graph.node) > 5
    zeros = [
        onnx.numpy_helper.to_array(tensor)
        for tensor in graph.initializer
        if tensor.name.endswith("zero_point")
    ]
    all_zero = all(zero.dtype == np.int8 and not zero.any() for zero in zeros)
    assert all_zero == (engine == "tensorrt")


@pytest.mark.parametrize("engine", ["tensorrt", "onnxruntime"])
def test_int8_of_a_network_with_relu6_has_no_activation_left_between_integers(good, small, engine):
    config = replace(small, backbone="efficientnet_lite0", layers=(2, 3), holdout_fraction=0.7)
    fitted = fit(good, config)
    network = fitted.network()
    plain = to_onnx(network, config.size)
    export_config = ExportConfig(precision="int8", engine=engine)
    reduced, how = reduce(fitted, fitted.lower(network), plain, export_config)
    assert "first six convolutions in float" in how  # was tried, with whatever result
    graph = onnx.load_from_string(reduced).graph
    producers = {name: node.op_type for node in graph.node for name in node.output}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    in_float = [node for node in convolutions if producers.get(node.input[1]) is None]
    assert len(in_float) in (0, 1, 3, 6)
    activations = [node for node in graph.node if node.op_type == "Clip"]
    if engine == "tensorrt":  # symmetric ranges do not end at 0, so the activation has to stay
        assert len(activations) == sum(1 for node in onnx.load_from_string(plain).graph.node
                                       if node.op_type == "Clip")  # fmt: skip
    else:
        assert len(activations) <= len(in_float)
    quantised = open_engine("onnxruntime", Graph(onnx=reduced)).run
    exact = open_engine("onnxruntime", Graph(onnx=plain)).run
    image = fitted.held_out[:1]
    found, expected = quantised(image)["features"], exact(image)["features"]
    assert np.abs(found - expected).mean() < 0.3 * np.abs(expected).mean()


def test_int8_leaves_fixed_filters_in_float(good, small):
    config = replace(
        small, backbone="procedural", weights="default", layers=(2, 3), holdout_fraction=0.7
    )
    fitted = fit(good, config)
    network = fitted.network()
    plain = to_onnx(network, config.size)
    reduced, _ = reduce(fitted, fitted.lower(network), plain, ExportConfig(precision="int8"))
    graph = onnx.load_from_string(reduced).graph
    producers = {name: node.op_type for node in graph.node for name in node.output}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    fixed = [node for node in convolutions if producers.get(node.input[1]) is None]
    trained = [node for node in convolutions if producers.get(node.input[1]) is not None]
    assert len(fixed) > 10
    assert len(trained) > 10
    assert not any(producers[node.input[0]] == "DequantizeLinear" for node in fixed)
    assert all(producers[node.input[0]] == "DequantizeLinear" for node in trained)


def test_int8_of_fixed_filters_alone_is_refused(good, small):
    config = replace(small, backbone="scattering", weights="default", holdout_fraction=0.7)
    fitted = fit(good, config)
    network = fitted.network()
    plain = to_onnx(network, config.size)
    with pytest.raises(ExportError, match=r"backbone scattering, .*\) is fixed filters alone"):
        reduce(fitted, fitted.lower(network), plain, ExportConfig(precision="int8"))


def test_more_loss_than_tolerated_is_refused_with_the_report(many_held_out, tmp_path):
    config = ExportConfig(precision="int8", loss_tolerance=1e-6)
    message = r"int8 moves scores by .* features .* off, distances .* off, .*accept-loss"
    with pytest.raises(ExportError, match=message):
        export(many_held_out, tmp_path / "plate.edgead", config)
    assert not list(tmp_path.iterdir())


def test_too_few_images_to_calibrate_with_are_refused(fitted, tmp_path):
    with pytest.raises(ExportError, match=f"too few to calibrate int8 with, {FEWEST_IMAGES}"):
        export(fitted, tmp_path / "plate.edgead", ExportConfig(precision="int8"))


def test_an_image_that_changed_since_the_fit_is_named(many_held_out, good, tmp_path):
    path = sorted(good.iterdir())[0]
    content = path.read_bytes()
    config = ExportConfig(precision="fp16", accept_loss=True)
    try:
        path.write_bytes(content + b"\0")
        with pytest.raises(FitError, match=f"{path.name}: changed since the fit"):
            export(many_held_out, tmp_path / "plate.edgead", config)
        path.unlink()
        with pytest.raises(FitError, match=f"{path.name}: not found"):
            export(many_held_out, tmp_path / "plate.edgead", config)
    finally:
        path.write_bytes(content)


def test_bfloat16_needs_an_engine_that_computes_in_it():
    with pytest.raises(ConfigError, match="use --engine openvino"):
        ExportConfig(precision="bf16")


def test_bfloat16_is_refused_on_a_processor_that_has_none(
    many_held_out, tmp_path, processor_has_bfloat16
):
    if processor_has_bfloat16:
        pytest.skip("this processor has bfloat16")
    config = ExportConfig(precision="bf16", engine="openvino")
    with pytest.raises(EngineError, match="this processor computes bf16 graphs in f32; .*fp32"):
        export(many_held_out, tmp_path / "plate.edgead", config)
    assert not list(tmp_path.iterdir())


@needs_openvino
def test_openvino_computes_in_float32_what_was_exported_in_float32(many_held_out):
    """By default it takes bfloat16 where the processor has it."""
    network = many_held_out.network()
    graph = Graph(onnx=to_onnx(network, many_held_out.config.size))
    images = many_held_out.held_out[:2]
    expected = open_engine("onnxruntime", graph).run(images)["features"]
    found = open_engine("openvino", graph).run(images)["features"]
    np.testing.assert_allclose(found, expected, atol=1e-5 * expected.max())


def test_the_loss_on_labelled_images_is_in_the_report(many_held_out, parts, tmp_path):
    config = ExportConfig(precision="fp16", labelled=parts)
    loss = export(many_held_out, tmp_path / "plate.edgead", config).precision_loss
    assert 0.5 < loss.auroc_fp32 <= 1
    assert loss.auroc == pytest.approx(loss.auroc_fp32, abs=0.05)


def test_the_scale_in_the_weights_changes_nothing(many_held_out):
    network = many_held_out.network()
    graph = to_onnx(network, many_held_out.config.size)
    folded = _with_scale_in_weights(graph)
    assert "Div" not in [node.op_type for node in onnx.load_from_string(folded).graph.node]
    images = many_held_out.held_out[:2]
    expected = open_engine("onnxruntime", Graph(onnx=graph)).run(images)["features"]
    found = open_engine("onnxruntime", Graph(onnx=folded)).run(images)["features"]
    np.testing.assert_allclose(found, expected, atol=1e-5 * expected.max())


def test_without_a_gpu_an_export_for_tensorrt_leaves_the_plan_to_the_device(fitted, tmp_path):
    report = export(fitted, tmp_path / "plate.edgead", ExportConfig(engine="tensorrt"))
    if report.plans:
        pytest.skip("there is a GPU here")
    assert report.verification.engine == "onnxruntime"
    with pytest.raises(EngineError, match="TensorRT|GPU|driver"):
        Detector.load(report.path)
    assert Detector.load(report.path, engine="onnxruntime").manifest.engine == "tensorrt"
