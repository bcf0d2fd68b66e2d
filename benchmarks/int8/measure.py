"""int8 with weights of 7 and of 8 bits on this processor: python -m benchmarks.int8.measure.

160 good magnetic tiles fitted at 224 px (ImageNet ResNet18, a 1% coreset), quantised for ``--target
any`` and for processors with room for sums of 8-bit products; each network's bank is learned
through it, as `export` does. Scores of test images beside the float32 network's, and the network's
time, all engines in turn.

x86 without VNNI cuts such sums off. There the 8-bit network is also learned and run in exact
arithmetic, as other processors have it (the same graph with its integers in float, which holds
these sums): what it gives on them, and what an artifact of theirs gives here.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.harness.clock import in_turn_ms
from benchmarks.harness.datasets import draw, read_data_set
from benchmarks.harness.record import (
    add_draft_option,
    check_tree,
    data_root,
    imagenet_resnet18,
    write_record,
)
from benchmarks.harness.refused import or_refused
from edge_ad import FittedDetector, PatchCoreConfig, fit
from edge_ad.evaluation.metrics import auroc
from edge_ad.fitting.fitting import fit_again
from edge_ad.images.good import load_preprocessed
from edge_ad.methods.judge import Judge
from edge_ad.networks.run import Run
from edge_ad_export import ExportConfig
from edge_ad_export.graph.onnx_graph import to_onnx
from edge_ad_export.precision import reduce
from edge_ad_runtime.artifact.words import CPU_ENGINES, EngineName, QuantisedFor
from edge_ad_runtime.device.machine import saturates_int8
from edge_ad_runtime.engines import Graph, open_engine

FITTED = 160
IN_IT = "int8, 8-bit weights, learned and run in exact arithmetic"
THEN_HERE = "int8, 8-bit weights, learned in exact arithmetic, run in onnxruntime"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One network: what it is learned through, and what it runs on.

    Attributes:
        name: in the record.
        graph: what it computes.
        learned: how the run is opened that its bank and threshold come from.
        opened: the same of the one that scores.
        timed: whether that is a thing to time.
    """

    name: str
    graph: Graph
    learned: Callable[[Graph], Run]
    opened: Callable[[Graph], Run]
    timed: bool = True


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--test-images", type=int, default=160, help="half of them defective")
    parser.add_argument("--timed", type=int, default=100, help="images")
    add_draft_option(parser)
    options = parser.parse_args()
    commit = check_tree(draft=options.draft)
    data = read_data_set(data_root() / "data/magnetic-tile")
    config = PatchCoreConfig(weights=imagenet_resnet18(), coreset_fraction=0.01)
    fitted = fit(data.good[:FITTED], config, progress=True)
    test = draw(data.test, options.test_images)
    images = [load_preprocessed(i.path, config.preprocessing)[np.newaxis] for i in test]
    is_defective = np.array([image.is_defective for image in test])
    rows = _rows(fitted)
    runs: dict[str, dict[str, Any]] = {
        row.name: or_refused(_scored, row, fitted, images, is_defective)
        for row in tqdm(rows, "score")
    }
    plain = np.array(runs[rows[0].name]["scores"])
    for run in runs.values():
        if "refused" not in run:
            errors = np.abs(np.array(run["scores"]) / plain - 1)
            run |= {
                "score_error_mean": float(errors.mean()),
                "score_error_worst": float(errors.max()),
            }
    timed = [row for row in rows if row.timed and "refused" not in runs[row.name]]
    for name, times_ms in _times_ms(timed, images[: options.timed]).items():
        runs[name]["network_ms"] = times_ms
    for name, run in runs.items():
        print(name, {k: v for k, v in run.items() if k not in ("scores", "network_ms")}, flush=True)
    record = {
        "flags": _flags(),
        "saturates_int8": saturates_int8(),
        "in_exact_arithmetic": [name for name in (IN_IT, THEN_HERE) if name in runs],
        "bank_rows": len(fitted.kept.features),
        "images": len(test),
        "runs": runs,
    }
    write_record("int8", commit, record)


def _rows(fitted: FittedDetector) -> list[Row]:
    network = fitted.network()
    lowered = fitted.lower(network)
    plain = to_onnx(network, fitted.config.size)
    wide: QuantisedFor = "aarch64" if platform.machine() == "aarch64" else "vnni"
    graphs = {"fp32": Graph(onnx=plain)}
    targets: dict[str, QuantisedFor] = {"int8, 7-bit weights": "any", "int8, 8-bit weights": wide}
    for name, target in targets.items():
        config = ExportConfig(precision="int8", target=target)
        reduced, _ = reduce(fitted, lowered, plain, config, progress=True)
        graphs[name] = Graph(onnx=reduced, precision="int8")
    rows = []
    for engine in CPU_ENGINES:
        run = _run_of(engine)
        for name, graph in graphs.items():
            rows.append(Row(name=f"{engine}, {name}", graph=graph, learned=run, opened=run))
    if saturates_int8():
        graph, here = graphs["int8, 8-bit weights"], _run_of("onnxruntime")
        rows += [
            Row(name=IN_IT, graph=graph, learned=_exact, opened=_exact, timed=False),
            Row(name=THEN_HERE, graph=graph, learned=_exact, opened=here, timed=False),
        ]
    return rows


def _run_of(engine: EngineName) -> Callable[[Graph], Run]:
    return lambda graph: open_engine(engine, graph).run


def _exact(graph: Graph) -> Run:
    """The graph as it is written: the convolutions of its Q/DQ pairs are not made 8-bit ones."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(graph.onnx, options, providers=["CPUExecutionProvider"])

    names = [output.name for output in session.get_outputs()]

    def run(images: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        return dict(zip(names, session.run(names, {"image": images}), strict=True))

    return run


def _scored(
    row: Row,
    fitted: FittedDetector,
    images: list[NDArray[np.uint8]],
    is_defective: NDArray[np.bool_],
) -> dict[str, Any]:
    learned = fit_again(fitted, row.learned(row.graph))
    lowered = learned.lower(learned.network())
    judge = Judge(row.opened(row.graph), lowered, fitted.config.size)
    scores = list(judge.scores(image[0] for image in images))
    return {"image_auroc": auroc(np.array(scores), is_defective), "scores": scores}


def _times_ms(rows: list[Row], images: list[NDArray[np.uint8]]) -> dict[str, list[float]]:
    """Milliseconds per image and row, all rows in turn."""
    runs = {row.name: row.opened(row.graph) for row in rows}
    for run in runs.values():
        run(images[0])
    return in_turn_ms(runs, tqdm(images, "time"))


def _flags() -> str:
    """What the processor says that it has."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    found = (line.split(":", 1)[1] for line in lines if line.startswith(("flags", "Features")))
    return next(found, "").strip()


if __name__ == "__main__":
    main()
