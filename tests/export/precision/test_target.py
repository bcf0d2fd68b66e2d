"""int8 on every processor: 7-bit weights, or 8-bit ones for those that have room for their sums."""

import shutil
import warnings
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_ad import FittedDetector, fit
from edge_ad_export import ExportConfig, export
from edge_ad_export.graph.onnx_graph import to_onnx
from edge_ad_export.precision import reduce
from edge_ad_runtime import Detector
from edge_ad_runtime.artifact import strict
from edge_ad_runtime.artifact.manifest import FILE_NAME, read_manifest
from edge_ad_runtime.errors import ConfigError, EdgeADWarning, ExportError

IN_CHANNELS, OUT_CHANNELS = 32, 16
STEP = 2.0**15  # of the output: a power of two, so that dividing by it rounds nothing else
SEVEN_BITS, EIGHT_BITS = 64, 127  # largest weight
IMAGE = (
    np.random.default_rng(0)
    .choice([0, 255], (1, IN_CHANNELS, 9, 11), p=[0.1, 0.9])
    .astype(np.uint8)
)


def weights(largest: int) -> np.ndarray:
    """``(out, in, 3, 3)``, most of them of one sign: sums of two are as large as they get."""
    shape = (OUT_CHANNELS, IN_CHANNELS, 3, 3)
    signs = np.random.default_rng(1).choice([-1, 1], shape, p=[0.3, 0.7])
    return (largest * signs).astype(np.int8)


def model_bytes(nodes, image, output, constants) -> bytes:
    tensors = [numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()]
    graph = helper.make_graph(nodes, "sums", [image], [output], tensors)
    opset = helper.make_opsetid("", 18)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=10)
    return bytes(model.SerializeToString())


def quantised_convolution(largest: int) -> bytes:
    """Q/DQ pairs around a convolution, as in a quantised ``network.onnx``."""
    nodes = [
        helper.make_node("DequantizeLinear", ["image", "one", "none"], ["x"]),
        helper.make_node("DequantizeLinear", ["weights", "ones", "zeros"], ["w"], axis=0),
        helper.make_node("Conv", ["x", "w"], ["sums"], pads=[1, 1, 1, 1]),
        helper.make_node("QuantizeLinear", ["sums", "step", "middle"], ["output"]),
    ]
    shape = (1, OUT_CHANNELS, *IMAGE.shape[2:])
    return model_bytes(
        nodes,
        helper.make_tensor_value_info("image", TensorProto.UINT8, IMAGE.shape),
        helper.make_tensor_value_info("output", TensorProto.UINT8, shape),
        {
            "one": np.float32(1), "none": np.uint8(0), "weights": weights(largest),
            "ones": np.ones(OUT_CHANNELS, np.float32), "zeros": np.zeros(OUT_CHANNELS, np.int8),
            "step": np.float32(STEP), "middle": np.uint8(128),
        },
    )  # fmt: skip


def exact_convolution(largest: int) -> np.ndarray:
    padded = np.pad(IMAGE.astype(np.int64), ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    sums = np.einsum("nchwij,ocij->nohw", windows, weights(largest).astype(np.int64))
    return np.clip(np.rint(sums / STEP) + 128, 0, 255)


def in_onnxruntime(model: bytes, image: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(None, {"image": image})[0]


def in_openvino(model: bytes, image: np.ndarray) -> np.ndarray:
    openvino = pytest.importorskip("openvino", reason="openvino is not installed")
    core = openvino.Core()
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    return core.compile_model(core.read_model(model), "CPU", settings)(image)["output"]


@pytest.mark.parametrize("run", [in_onnxruntime, in_openvino])
def test_a_convolution_with_7_bit_weights_is_exact_on_any_processor(run):
    found = run(quantised_convolution(SEVEN_BITS), IMAGE)
    np.testing.assert_array_equal(found, exact_convolution(SEVEN_BITS))


@pytest.mark.parametrize("run", [in_onnxruntime, in_openvino])
def test_with_8_bit_weights_it_is_not_where_the_processor_saturates(run, processor_saturates_int8):
    found = run(quantised_convolution(EIGHT_BITS), IMAGE)
    assert np.array_equal(found, exact_convolution(EIGHT_BITS)) != processor_saturates_int8


@pytest.mark.parametrize("largest", [SEVEN_BITS, EIGHT_BITS])
def test_so_it_is_with_a_matrix_product(largest, processor_saturates_int8):
    rows = IMAGE.reshape(IN_CHANNELS, -1).T.copy()
    columns = weights(largest)[..., 1, 1].T.copy()
    model = model_bytes(
        [helper.make_node("MatMulInteger", ["image", "columns"], ["output"])],
        helper.make_tensor_value_info("image", TensorProto.UINT8, rows.shape),
        helper.make_tensor_value_info("output", TensorProto.INT32, [len(rows), OUT_CHANNELS]),
        {"columns": columns},
    )
    found = in_onnxruntime(model, rows)
    is_exact = np.array_equal(found, rows.astype(int) @ columns.astype(int))
    assert is_exact == (largest == SEVEN_BITS or not processor_saturates_int8)


@pytest.fixture(scope="module")
def many_held_out(parts, small) -> FittedDetector:
    return fit(parts / "train/good", replace(small, layers=(1,), holdout_fraction=0.7))


@pytest.fixture(scope="module")
def for_any(many_held_out, tmp_path_factory):
    out = tmp_path_factory.mktemp("int8") / "plate.edgead"
    return export(many_held_out, out, ExportConfig(precision="int8", accept_loss=True)).path


@pytest.mark.parametrize(("target", "bits"), [("any", 7), ("vnni", 8)])
def test_weights_have_as_many_bits_as_the_target_has_room_for(many_held_out, target, bits):
    network = many_held_out.network()
    config = ExportConfig(precision="int8", target=target)
    plain = to_onnx(network, many_held_out.config.size)
    quantised, made = reduce(many_held_out, many_held_out.lower(network), plain, config)
    assert made.startswith(f"int8 for {target}, ")
    largest = [
        np.abs(numpy_helper.to_array(tensor).astype(int)).max()
        for tensor in onnx.load_from_string(quantised).graph.initializer
        if tensor.name.endswith("weight_quantized")
    ]
    assert len(largest) > 3
    assert max(largest) == {7: 64, 8: 127}[bits]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"target": "cpu"}, "target is 'cpu'; it must be one of any, vnni, aarch64, gpu"),
        ({"target": "vnni", "precision": "fp32"}, "precision 'fp32'; a target is of int8 alone"),
        ({"target": "gpu"}, "target is 'gpu' and engine 'onnxruntime', which runs on processors"),
        ({"target": "gpu", "engine": "openvino"}, "engine 'openvino', which runs on processors"),
        ({"target": "vnni", "engine": "tensorrt"}, "engine 'tensorrt', which runs on GPUs"),
        ({"target": "aarch64", "engine": "onnxruntime-cuda"}, "which runs on GPUs"),
    ],
)
def test_targets_that_do_not_go_with_the_rest_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        ExportConfig(**{"precision": "int8", **settings})


@pytest.mark.parametrize(
    ("target", "engine"), [("vnni", "onnxruntime"), ("aarch64", "openvino"), ("gpu", "tensorrt")]
)
def test_an_8_bit_target_is_refused_where_the_bank_would_be_learned_through_cut_off_sums(
    many_held_out, tmp_path, monkeypatch, target, engine
):
    monkeypatch.setattr("edge_ad_export.precision.target.saturates_int8", lambda: True)
    config = ExportConfig(precision="int8", target=target, engine=engine)
    message = rf"no VNNI .* --target {target} .*use --target any, or export on a machine with VNNI"
    with pytest.raises(ExportError, match=message):
        export(many_held_out, tmp_path / "plate.edgead", config)
    assert not list(tmp_path.iterdir())


def test_an_8_bit_target_is_exported_where_the_processor_has_room(
    many_held_out, tmp_path, processor_saturates_int8
):
    config = ExportConfig(precision="int8", target="vnni", accept_loss=True)
    out = tmp_path / "plate.edgead"
    if processor_saturates_int8:
        with pytest.raises(ExportError, match="use --target any"):
            export(many_held_out, out, config)
        return
    export(many_held_out, out, config)
    assert Detector.load(out).manifest.members[0].network.quantised_for == "vnni"


@pytest.mark.parametrize("quantised_for", ["any", "vnni", "gpu", None])
@pytest.mark.parametrize("saturates", [True, False, None])
def test_the_device_warns_of_sums_that_it_cuts_off_and_of_nothing_else(
    for_any, tmp_path, monkeypatch, quantised_for, saturates
):
    """None: exported before the manifest said what for, with 8-bit weights."""
    artifact = shutil.copytree(for_any, tmp_path / "plate.edgead")
    manifest = read_manifest(artifact)
    network = replace(manifest.members[0].network, quantised_for=quantised_for)
    member = replace(manifest.members[0], network=network)
    sealed = replace(manifest, members=(member,)).sealed()
    (artifact / FILE_NAME).write_text(sealed.to_text(), encoding="utf-8")
    assert ("quantised_for" in strict.dumps(sealed)) == (quantised_for is not None)

    monkeypatch.setattr("edge_ad_runtime.device.saturation.saturates_int8", lambda: saturates)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        Detector.load(artifact)
    said = [str(w.message) for w in caught if w.category is EdgeADWarning]
    assert len(said) == (saturates is True and quantised_for != "any")
    assert all("export with --target any" in text and "\n" not in text for text in said)


def test_a_float32_artifact_warns_of_nothing(many_held_out, tmp_path, monkeypatch):
    monkeypatch.setattr("edge_ad_runtime.device.saturation.saturates_int8", lambda: True)
    report = export(many_held_out, tmp_path / "plate.edgead")
    Detector.load(report.path)  # a warning would be an error here
