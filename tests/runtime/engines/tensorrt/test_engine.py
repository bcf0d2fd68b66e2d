"""TensorRT: built for real where TensorRT-RTX is installed, run where there is a GPU as well."""

import json
import sys
from importlib.util import find_spec

import numpy as np
import pytest
from click.testing import CliRunner

from edge_ad_runtime import Detector
from edge_ad_runtime.artifact.folder import GRAPH, Artifact, hash_file
from edge_ad_runtime.commands.main import main
from edge_ad_runtime.engines import Graph, open_engine
from edge_ad_runtime.engines.tensorrt import cuda
from edge_ad_runtime.engines.tensorrt.build import build_plan
from edge_ad_runtime.engines.tensorrt.library import open_library
from edge_ad_runtime.engines.tensorrt.plans import read_plan
from edge_ad_runtime.errors import ArtifactError, ConfigError, EngineError
from edge_ad_runtime.heads.patch_search import FEATURES
from edge_ad_runtime.proof.compiled import compile_plans, parse_capability

needs_rtx = pytest.mark.skipif(not find_spec("tensorrt_rtx"), reason="needs tensorrt-rtx")
ADA = (8, 9)


def has_gpu():
    try:
        cuda.Gpu()
    except EngineError:
        return False
    return any(find_spec(name) for name in ("tensorrt", "tensorrt_rtx"))


needs_gpu = pytest.mark.skipif(not has_gpu(), reason="needs a GPU and TensorRT")


@pytest.fixture
def graph(tiny):
    return Graph(onnx=(tiny / GRAPH).read_bytes())


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(cuda, "DRIVER", "libcuda-is-not-here.so.1")


def content(folder):
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hash_file(path) for path in files}


# Everywhere


def test_without_a_driver_there_is_no_gpu(no_gpu):
    with pytest.raises(EngineError, match=r"no usable NVIDIA driver here: libcuda-is-not-here"):
        cuda.Gpu()


def test_a_driver_without_what_is_needed_is_refused(monkeypatch):
    monkeypatch.setattr(cuda, "DRIVER", "libc.so.6")
    with pytest.raises(EngineError, match="no usable NVIDIA driver here: .*cuInit"):
        cuda.Gpu()


def test_without_tensorrt_it_says_what_to_install(graph, monkeypatch):
    for name in ("tensorrt", "tensorrt_rtx"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(EngineError, match=r"\[tensorrt\]' or '.*\[tensorrt-rtx\]'"):
        open_engine("tensorrt", graph)
    with pytest.raises(EngineError, match=r"pip install 'edge-ad-runtime\[tensorrt-rtx\]'"):
        open_library("tensorrt_rtx")


def test_a_tensorrt_that_does_not_load_is_not_passed_over(monkeypatch, tmp_path):
    (tmp_path / "tensorrt.py").write_text("raise OSError('libnvinfer.so.10: cannot open')")
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(EngineError, match=r"tensorrt cannot be loaded: libnvinfer\.so\.10"):
        open_library()


@pytest.mark.parametrize("text", ["", "8", "8.", ".9", "sm89", "8.9.0", "-8.9"])
def test_what_is_no_compute_capability_is_refused(text):
    with pytest.raises(ConfigError, match=f"compute-capability is '{text}'"):
        parse_capability(text)


# Where TensorRT-RTX is installed


@needs_rtx
def test_a_plan_is_built_for_a_gpu_that_is_not_here(graph):
    plan = build_plan(open_library("tensorrt_rtx"), graph, capability=ADA)
    assert b"accelerators={sm89 }" in plan


@needs_rtx
def test_float32_is_not_computed_in_tf32_and_a_plan_can_be_captured(graph):
    plan = build_plan(open_library("tensorrt_rtx"), graph, capability=ADA)
    assert b" tf32=0\n" in plan
    assert b" tf32=1\n" not in plan
    assert b" stream_capturable=1\n" in plan


@needs_rtx
def test_compiling_adds_plans_and_changes_nothing_else(artifact, graph):
    before = content(artifact)
    report = compile_plans(artifact, capabilities=[ADA, (12, 0)], max_batch=4)
    library = open_library("tensorrt_rtx")
    keys = [library.key(graph, capability) for capability in [(12, 0), ADA]]
    assert report.plans == tuple(key.file_name for key in keys)
    assert not report.verified
    opened = Artifact.open(artifact)
    for key in keys:
        assert f"accelerators={{{key.target} }}".encode() in read_plan(opened.plans, key)
    opened.check_all()
    after = content(artifact)
    assert {name: after[name] for name in before} == before
    assert after.keys() - before.keys() == {f"engines/{name}" for name in report.plans}


@needs_rtx
def test_a_plan_replaces_the_one_before(artifact, graph):
    compile_plans(artifact, capabilities=[ADA], max_batch=1)
    (name,) = compile_plans(artifact, capabilities=[ADA], max_batch=2).plans
    assert [path.name for path in (artifact / "engines").iterdir()] == [name]


@needs_rtx
def test_plans_that_cannot_be_written_are_told(artifact):
    (artifact / "engines").write_text("a file")
    with pytest.raises(ArtifactError, match="engines: cannot be written: File exists"):
        compile_plans(artifact, capabilities=[ADA])
    assert not [path.name for path in artifact.iterdir() if path.name.startswith(".")]


@needs_rtx
def test_every_member_is_compiled_and_the_same_network_once(artifact, resign):
    twin = (artifact / GRAPH).read_bytes() + b"\x32\x04twin"  # its doc_string, in protobuf
    for folder, graph in {"twin": twin, "again": twin}.items():
        (artifact / folder).mkdir()
        (artifact / folder / GRAPH).write_bytes(graph)

    def add(raw):
        for folder in ("twin", "again"):
            raw["members"].append({**raw["members"][0], "folder": folder})
            raw["files"][f"{folder}/{GRAPH}"] = vars(hash_file(artifact / folder / GRAPH))

    resign(artifact, add)
    assert len(compile_plans(artifact, capabilities=[ADA]).plans) == 2


@needs_rtx
def test_a_gpu_that_it_cannot_build_for_is_refused_and_nothing_is_left(artifact):
    before = content(artifact)
    with pytest.raises(EngineError, match=r"builds for .*SM89.*, not for SM90;.*\[tensorrt\]"):
        compile_plans(artifact, capabilities=[ADA, (9, 0)])
    assert content(artifact) == before
    assert not [path.name for path in artifact.iterdir() if path.name.startswith(".")]


@needs_rtx
@pytest.mark.parametrize(
    ("onnx", "says"),
    [
        (lambda onnx: b"not a graph", ""),
        (lambda onnx: onnx[: len(onnx) // 2], ""),
        (lambda onnx: onnx.replace(b"Conv", b"Cxnv"), "Cxnv"),
    ],
)
def test_a_graph_that_it_cannot_read_is_refused(graph, onnx, says):
    with pytest.raises(EngineError, match=f"refuses the graph: .*{says}") as caught:
        build_plan(open_library("tensorrt_rtx"), Graph(onnx=onnx(graph.onnx)), capability=ADA)
    assert "\n" not in str(caught.value)


@needs_rtx
@pytest.mark.parametrize("max_batch", [0, 2**31])
def test_a_batch_that_cannot_be_is_refused(graph, max_batch):
    with pytest.raises(ConfigError, match=f"max-batch is {max_batch}; it must"):
        build_plan(open_library("tensorrt_rtx"), graph, capability=ADA, max_batch=max_batch)


@needs_rtx
def test_a_batch_that_no_memory_holds_is_refused(graph):
    with pytest.raises(EngineError, match="cannot compile the graph: .*OutOfMemory"):
        build_plan(open_library("tensorrt_rtx"), graph, capability=ADA, max_batch=10**6)


@needs_rtx
def test_what_tensorrt_has_logged_is_in_the_error():
    library = open_library("tensorrt_rtx")
    engine = library.api.Runtime(library.log).deserialize_cuda_engine(b"no plan")
    with pytest.raises(EngineError, match="cannot load it: .*Error Code") as caught:
        library.made(engine, "cannot load it")
    assert "\n" not in str(caught.value)


@needs_rtx
def test_a_timing_cache_is_not_for_rtx(graph, tmp_path):
    with pytest.raises(ConfigError, match="timing-cache is for TensorRT"):
        build_plan(
            open_library("tensorrt_rtx"), graph, capability=ADA, timing_cache=tmp_path / "cache"
        )


@needs_rtx
def test_an_artifact_that_is_damaged_is_not_compiled(artifact):
    with (artifact / GRAPH).open("r+b") as file:
        file.write(b"!")
    result = CliRunner().invoke(main, ["compile", str(artifact), "--compute-capability", "8.9"])
    assert result.exit_code == 1
    assert "its SHA-256 is not the manifest's" in result.stderr
    assert not (artifact / "engines").exists()


@needs_rtx
def test_the_command_says_what_it_has_not_verified(artifact):
    command = ["compile", str(artifact), "--compute-capability", "8.9", "--max-batch", "2"]
    text = CliRunner().invoke(main, command)
    assert (text.exit_code, text.stderr) == (0, "")
    assert (
        "not verified: not run here; run edge-ad verify --engine tensorrt on the device"
        in text.stdout
    )
    found = json.loads(CliRunner().invoke(main, [*command, "--json"]).stdout)
    assert (found["engine"], found["max_batch"], found["verified"]) == ("tensorrt_rtx", 2, False)
    assert f"engines/{found['plans'][0]}\n" in text.stdout


@needs_rtx
def test_without_a_gpu_a_plan_can_be_compiled_but_not_run(artifact, no_gpu):
    with pytest.raises(EngineError, match="no usable NVIDIA driver here.*--compute-capability"):
        compile_plans(artifact)
    compile_plans(artifact, capabilities=[ADA])
    with pytest.raises(EngineError, match="no usable NVIDIA driver here"):
        Detector.load(artifact, engine="tensorrt")


# Where there is a GPU


@needs_gpu
def test_without_a_plan_it_says_how_to_make_one(artifact):
    with pytest.raises(EngineError, match="no plan for .*run edge-ad compile"):
        Detector.load(artifact, engine="tensorrt")


@needs_gpu
def test_plans_give_the_exported_scores_in_batches_of_any_size(artifact, graph):
    assert compile_plans(artifact, max_batch=3).verified
    detector = Detector.load(artifact, engine="tensorrt")
    images = np.random.default_rng(0).integers(0, 256, (3, 64, 80, 3), np.uint8)
    expected = open_engine("onnxruntime", graph).run(images)[FEATURES]
    for count in (3, 1, 1, 3, 2):  # captured anew when the size changes
        found = detector.engine.run(images[:count])[FEATURES]
        np.testing.assert_allclose(found, expected[:count], atol=1e-4 * np.abs(expected).max())
    with pytest.raises(EngineError, match="its plan is for 1 to 3"):
        detector.engine.run(np.zeros((4, 64, 80, 3), np.uint8))
