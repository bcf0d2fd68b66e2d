"""Every engine that this machine can run, on its GPU or CPU: python -m benchmarks.gpu FOLDER.

First, where torch is: python -m benchmarks.gpu FOLDER --prepare. It fits magnetic tile (ImageNet
ResNet18, 224 px, 1% coreset) and puts artifacts into the folder, with graphs of plain matrix
products; measuring needs these, the runtime and engines, nothing else. Per artifact and engine:
compiled where it must be, verified, features compared with ONNX Runtime's on the CPU, the network
timed in batches of 1 to 16 and the whole from file to map. The floor is what the network's
operations take at the rate of the plain products, on the same engine and in the same precision.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.record import data_root, imagenet_resnet18, write_record
from benchmarks.refused import or_refused
from edge_ad_runtime import Detector
from edge_ad_runtime.artifact.folder import GRAPH
from edge_ad_runtime.engines import ENGINES, Engine, EngineName, Graph, Precision, open_engine
from edge_ad_runtime.engines.tensorrt.build import build_plan
from edge_ad_runtime.engines.tensorrt.cuda import Gpu
from edge_ad_runtime.engines.tensorrt.engine import open_library
from edge_ad_runtime.engines.tensorrt.plans import write_plan
from edge_ad_runtime.images import read_image
from edge_ad_runtime.proof.compiled import compile_plans
from edge_ad_runtime.proof.verify import verify

BATCHES = (1, 2, 4, 8, 16)
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8")
SEARCHES: tuple[Literal["auto", "graph"], ...] = ("auto", "graph")
SIDE, PRODUCTS, SCALE = 2048, 8, 1 / 1024  # plain matrices: size, how many, step in int8
OPERATIONS = "operations.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--prepare", action="store_true", help="make what is measured")
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=ENGINES)
    parser.add_argument("--repeats", type=int, default=100)
    parser.add_argument("--fitted", type=int, default=200, help="good images to fit")
    options = parser.parse_args()
    if options.prepare:
        prepare(options.folder, options.fitted)
        return
    operations = json.loads((options.folder / OPERATIONS).read_text(encoding="utf-8"))
    runs, rates = [], []
    for name in options.engines:
        found = {p.stem: or_refused(rate, name, p) for p in options.folder.glob("*.onnx")}
        rates.append({"engine": name, **found})
        print(rates[-1], flush=True)
        for folder in sorted(options.folder.glob("*.edgead")):
            run = {"engine": name, "artifact": folder.stem}
            run |= or_refused(measure, name, folder, options.repeats)
            if "refused" not in run:
                plain = found[folder.stem.split("-")[0]]
                run["of_floor"] = of_floor(run["network_ms"], operations, plain)
            runs.append(run)
            print({k: v for k, v in run.items() if not k.endswith("_ms")}, flush=True)
    write_record("gpu", {"operations_per_image": operations, "rates": rates, "runs": runs})


def of_floor(
    network_ms: dict[int, list[float]], operations: int, plain: dict[str, Any]
) -> dict[int, float]:
    """How many times the floor the median is, per size of batch."""
    if "refused" in plain:
        return {}
    floor_ms = 1e3 * operations / plain["operations_per_s"]
    return {n: round(float(np.median(ms)) / (n * floor_ms), 2) for n, ms in network_ms.items()}


def measure(name: EngineName, folder: Path, repeats: int) -> dict[str, Any]:
    """One artifact on one engine; times in milliseconds, one per repeat."""
    start = time.perf_counter()
    plans = asdict(compile_plans(folder, max_batch=max(BATCHES))) if name == "tensorrt" else None
    compile_s = time.perf_counter() - start
    detector = Detector.load(folder, engine=name)
    paths = [folder / reference.file for reference in detector.manifest.reference]
    apply = detector.manifest.preprocessing.apply
    images = np.stack([apply(read_image(path)) for path in paths])
    images = images[np.arange(max(BATCHES)) % len(images)]
    expected = open_engine("onnxruntime", _graph(folder / GRAPH)).run(images)
    engine, report = detector.engine, verify(detector)
    difference = np.abs(engine.run(images) - expected).max() / np.abs(expected).max()
    totals = [detector.predict(paths[i % len(paths)]).timings_ms for i in range(repeats)]
    return {
        "version": engine.version,
        "device": engine.device,
        "plans": plans,
        "compile_s": round(compile_s, 2),
        "verified": report.ok,
        "stages": {stage.stage: stage.worst_difference for stage in report.stages},
        "feature_difference": float(difference),
        "network_ms": {n: _times(engine, images[:n], repeats) for n in BATCHES},
        "end_to_end_ms": totals,
    }


def rate(name: EngineName, path: Path) -> dict[str, Any]:
    """Operations per second in plain matrix products: the best of ten."""
    graph = _graph(path)
    image = np.ones((1, 1, 1, 3), np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        if name == "tensorrt":
            gpu, library = Gpu(), open_library()
            plan = build_plan(library, graph, capability=gpu.capability, max_batch=1)
            write_plan(Path(folder), library.key(graph, gpu.capability, gpu.name), plan)
        engine = open_engine(name, _graph(path, plans=Path(folder)))
        times_ms = _times(engine, image, 10)
    return {"operations_per_s": 2e3 * PRODUCTS * SIDE**3 / min(times_ms)}


def _graph(path: Path, plans: Path | None = None) -> Graph:
    return Graph(onnx=path.read_bytes(), plans=plans)


def _times(engine: Engine, images: NDArray[np.uint8], repeats: int) -> list[float]:
    times_ms = []
    for i in range(repeats + 2):
        start = time.perf_counter()
        engine.run(images)
        if i >= 2:  # the first ones set things up
            times_ms.append((time.perf_counter() - start) * 1e3)
    return times_ms


def prepare(folder: Path, fitted_images: int) -> None:
    """Fit, export, count operations, and write the plain matrix products."""
    import onnx

    from benchmarks.datasets import read_data_set
    from edge_ad import PatchCoreConfig, fit
    from edge_ad_export import ExportConfig, export

    folder.mkdir(parents=True, exist_ok=True)
    data = read_data_set(data_root() / "data/magnetic-tile")
    config = PatchCoreConfig(weights=imagenet_resnet18(), coreset_fraction=0.01)
    fitted = fit(data.good[:fitted_images], config, progress=True)
    for precision, search in product(PRECISIONS, SEARCHES):
        settings = ExportConfig(
            engine="tensorrt",
            precision=precision,
            search=search,
            reference_images=1,
            accept_loss=True,
        )
        name = f"{precision}-{search}.edgead"
        export(fitted, folder / name, settings, overwrite=True, progress=True)
    for precision in PRECISIONS:
        (folder / f"{precision}.onnx").write_bytes(products(precision))
    model = onnx.shape_inference.infer_shapes(onnx.load(folder / "fp32-auto.edgead" / GRAPH))
    (folder / OPERATIONS).write_text(json.dumps(count_operations(model)), encoding="utf-8")


def count_operations(model: Any) -> int:
    """Of the convolutions, per image; a multiplication with its addition counts as two."""
    graph, count = model.graph, 0
    weights = {w.name: w.dims for w in graph.initializer}
    shapes = {v.name: v.type.tensor_type.shape.dim for v in [*graph.value_info, *graph.output]}
    for node in graph.node:
        if node.op_type == "Conv":
            outputs = [dim.dim_value for dim in shapes[node.output[0]]][1:]
            count += 2 * int(np.prod(outputs)) * int(np.prod(weights[node.input[1]][1:]))
    return count


def products(precision: Precision) -> bytes:
    """A graph with the names of ``features.onnx`` that is nothing but matrix products."""
    from onnx import TensorProto, helper, numpy_helper

    matrix = np.random.default_rng(0).standard_normal((SIDE, SIDE)) / np.sqrt(SIDE)
    constants = {"half": matrix.astype(np.float16)}
    if precision == "int8":
        constants = {
            "small": np.clip(np.rint(matrix / SCALE), -127, 127).astype(np.int8),
            "scale": np.array(SCALE, np.float32),
            "zero": np.array(0, np.int8),
        }
    kind = TensorProto.FLOAT16 if precision == "fp16" else TensorProto.FLOAT
    nodes = [
        helper.make_node("Cast", ["image"], ["cast"], to=kind),
        helper.make_node("ReduceMean", ["cast"], ["mean"], keepdims=1),
        helper.make_node("DequantizeLinear", [*constants], ["matrix"])
        if precision == "int8"
        else helper.make_node("Cast", ["half"], ["matrix"], to=kind),
        helper.make_node("Add", ["mean", "matrix"], ["x0"]),  # nothing is known before the image
    ]
    for i in range(PRODUCTS):
        factors = [f"x{i}", "matrix"]
        if precision == "int8":
            step, factors = ["scale", "zero"], [f"x{i}d", f"matrix{i}"]
            nodes += [
                helper.make_node("QuantizeLinear", [f"x{i}", *step], [f"x{i}q"]),
                helper.make_node("DequantizeLinear", [f"x{i}q", *step], [factors[0]]),
                helper.make_node("DequantizeLinear", ["small", *step], [factors[1]]),
            ]
        nodes.append(helper.make_node("MatMul", factors, [f"x{i + 1}"]))
    nodes += [
        helper.make_node("ReduceMean", [f"x{PRODUCTS}"], ["y"], keepdims=1),
        helper.make_node("Cast", ["y"], ["features"], to=TensorProto.FLOAT),
    ]
    graph = helper.make_graph(
        nodes,
        "products",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", 1, 1, 3])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", 1, 1, 1])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opset = helper.make_opsetid("", 18)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=10)
    return bytes(model.SerializeToString())


if __name__ == "__main__":
    main()
