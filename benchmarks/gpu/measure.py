"""Every engine that this machine has, on GPU or CPU.

    python -m benchmarks.gpu.measure FOLDER

First, where torch is, the same with ``--prepare``. It fits magnetic tile (ImageNet ResNet18, 224
px, 1% coreset) and puts artifacts into the folder, with graphs of plain matrix products; measuring
needs these, the runtime and engines, nothing else. Per artifact and engine: compiled where it must
be, verified, features compared with ONNX Runtime's on the CPU, the network timed in batches of 1 to
16 and the whole from file to map. The floor is what the network's operations take at the rate of
the plain products, on the same engine and in the same precision.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.gpu.products import OPERATIONS, PRODUCTS, SIDE
from benchmarks.harness.clock import repeated_ms, seconds
from benchmarks.harness.record import add_draft_option, check_tree, write_record
from benchmarks.harness.refused import or_refused
from edge_ad_runtime import Detector
from edge_ad_runtime.artifact.folder import GRAPH
from edge_ad_runtime.artifact.words import ENGINES, EngineName
from edge_ad_runtime.engines import Engine, Graph, open_engine
from edge_ad_runtime.engines.tensorrt.build import build_plan
from edge_ad_runtime.engines.tensorrt.cuda import Gpu
from edge_ad_runtime.engines.tensorrt.library import open_library
from edge_ad_runtime.engines.tensorrt.plans import write_plan
from edge_ad_runtime.heads.patch_search import FEATURES
from edge_ad_runtime.images import read_image
from edge_ad_runtime.proof.compiled import compile_plans
from edge_ad_runtime.proof.verify import verify

BATCHES = (1, 2, 4, 8, 16)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--prepare", action="store_true", help="make what is measured")
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=ENGINES)
    parser.add_argument("--repeats", type=int, default=100)
    parser.add_argument("--fitted", type=int, default=200, help="good images to fit")
    add_draft_option(parser)
    options = parser.parse_args()
    if options.prepare:
        from benchmarks.gpu.prepare import prepare  # torch, which the device need not have

        prepare(options.folder, options.fitted)
        return
    commit = check_tree(draft=options.draft)
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
    content = {"operations_per_image": operations, "rates": rates, "runs": runs}
    write_record("gpu", commit, content)


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
    compile_s, plans = seconds(lambda: _compiled(name, folder))
    detector = Detector.load(folder, engine=name)
    paths = [folder / reference.file for reference in detector.manifest.reference]
    apply = detector.manifest.preprocessing.apply
    images = np.stack([apply(read_image(path)) for path in paths])
    images = images[np.arange(max(BATCHES)) % len(images)]
    expected = open_engine("onnxruntime", _graph(folder / GRAPH)).run(images)[FEATURES]
    engine, report = detector.engine, verify(detector)
    difference = np.abs(engine.run(images)[FEATURES] - expected).max() / np.abs(expected).max()
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


def _compiled(name: EngineName, folder: Path) -> dict[str, Any] | None:
    """About the plans that were built, for an engine that has such."""
    return asdict(compile_plans(folder, max_batch=max(BATCHES))) if name == "tensorrt" else None


def _times(engine: Engine, images: NDArray[np.uint8], repeats: int) -> list[float]:
    """Milliseconds; the first two calls set things up and are not counted."""
    return repeated_ms(lambda: engine.run(images), repeats, first=2)


if __name__ == "__main__":
    main()
