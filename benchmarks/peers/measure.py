"""edge_ad beside anomalib (and patchcore-inspection): the same images, weights, layers, bank.

Everyone gets magnetic tiles, preprocessed by us, ImageNet ResNet18's layers 2 and 3, and the
patches that our coreset has chosen. Each way to score an image (a library with a model file) is a
process in an environment of its own, on as many threads as it chooses; all are asked for the same
image in turn. The cold start is a process's first score, from the start of the interpreter.

The others' own coresets take hours at this size: their first picks are timed, and scaled, as each
pick costs the same.

The environments are made anew in the temporary folder (TMPDIR), at the versions of constraints.txt.
torch comes with them: without PyTorch's CPU index (PIP_EXTRA_INDEX_URL) that is GBs of CUDA.

What cannot be installed or cannot run on this machine is a row that says why; the others go on.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.coreset import seconds
from benchmarks.datasets import read_data_set
from benchmarks.peer_process import ROOT, Module, Peer, PeerError, last_line
from benchmarks.record import data_root, imagenet_resnet18, write_record
from edge_ad import FittedDetector, PatchCoreConfig, fit
from edge_ad.evaluation.metrics import auroc
from edge_ad.features.coreset import greedy_coreset
from edge_ad.features.patches import build_network, extract, extract_files, load_preprocessed
from edge_ad.images.labelled import TestImage
from edge_ad.methods.patchcore.reference import ReferenceDetector
from edge_ad_export import ExportConfig, export
from edge_ad_runtime.errors import EdgeADError

STARTS = 3
PAUSE_S = 0.05  # the threads of the process before may spin a while
HELD_OUT = 16  # one image for the threshold to so many in the bank

# our ways: how the fit is exported, and the engine that runs it
OURS = {
    "edge_ad": (ExportConfig(), "onnxruntime"),
    "edge_ad, int8": (ExportConfig(precision="int8", accept_loss=True), "onnxruntime"),
    "edge_ad, OpenVINO": (ExportConfig(engine="openvino"), "openvino"),
    "edge_ad, OpenVINO in bf16": (
        ExportConfig(engine="openvino", precision="bf16", accept_loss=True),
        "openvino",
    ),
}
REFERENCE = "edge_ad's reference"
ANOMALIB = "anomalib, torch"
INSPECTION = "patchcore-inspection"
ENVIRONMENTS = {
    "onnxruntime": (f"{ROOT}/runtime[cpu]",),
    "openvino": (f"{ROOT}/runtime[openvino]",),
    "anomalib": ("anomalib[cpu,openvino]",),
    "onnxruntime alone": ("onnxruntime",),
    INSPECTION: ("faiss-cpu", "safetensors", "scipy", "timm", "torch", "torchvision", "tqdm"),
}


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way to score an image.

    Attributes:
        name: in the record.
        environment: one of `ENVIRONMENTS`.
        command: module of this folder that runs there, and its arguments before the images.
        truth: whose scores it should give; its own name: there is nobody to ask.
        images_per_call: how many images it takes, no more and no fewer.
        refused: why there is nothing to run; None: there is.
    """

    name: str
    environment: str
    command: tuple[str, ...]
    truth: str
    images_per_call: int = 1
    refused: str | None = None


@dataclass(frozen=True, kw_only=True)
class Environment:
    """Where ways run.

    Attributes:
        python: its interpreter.
        refused: why it could not be made; None: it is there.
    """

    python: Path
    refused: str | None = None

    def start(self, folder: Path, *command: str) -> Module:
        """Run a module of this folder in it.

        Raises:
            PeerError: it could not be made.
        """
        if self.refused is not None:
            raise PeerError(self.refused)
        return Module(self.python, folder, *command)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=320, help="in the bank; a multiple of 16")
    parser.add_argument("--test-images", type=int, default=100, help="half of them defective")
    parser.add_argument("--picks", type=int, default=100, help="of the others' coresets, to time")
    parser.add_argument("--inspection", type=Path, help="checkout of patchcore-inspection")
    parser.add_argument(
        "--python",
        nargs=2,
        action="append",
        default=[],
        metavar=("ENVIRONMENT", "INTERPRETER"),
        help=f"instead of making it: an environment that is there ({', '.join(ENVIRONMENTS)})",
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        record = compare(options, Path(name))
    write_record("peers", record)


def compare(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    made = environments(options, folder / "environments")
    data = read_data_set(data_root() / "data/magnetic-tile")
    fitted, our_fit = fit_edge_ad(data.good, options.images, folder)
    test = draw(data.test, options.test_images)
    images = [load_preprocessed(image.path, fitted.config.preprocessing) for image in test]
    np.save(folder / "test.npy", images)

    fits: dict[str, Any] = {"edge_ad": our_fit}
    ways = []
    searches = {}
    for name, (config, engine) in OURS.items():
        artifact = folder / f"{name}.edgead"
        command: tuple[str, ...] = ("peer_edge_ad", str(artifact), engine)
        way = Way(name=name, environment=engine, command=command, truth=REFERENCE)
        try:
            searches[name] = export(fitted, artifact, config).searches[0].reason
        except EdgeADError as exc:
            way = replace(way, refused=str(exc))
        ways.append(way)
    common = (str(folder), imagenet_resnet18(), str(options.picks))
    fits["anomalib"] = prepare(made["anomalib"], folder, "peer_anomalib", "prepare", *common)
    ways += anomalib_ways(folder, fits["anomalib"])
    if options.inspection:
        module, checkout = "peer_inspection", str(options.inspection.resolve())
        fit_there = prepare(made[INSPECTION], folder, module, "prepare", checkout, *common)
        fits[INSPECTION] = fit_there
        ways.append(
            Way(
                name=INSPECTION,
                environment=INSPECTION,
                command=(module, checkout, *common[:2]),
                truth=INSPECTION,
                refused=fit_there.get("refused"),
            )
        )

    measured = measure(ways, made, folder, len(test))
    reference = ReferenceDetector(fitted)
    reference_scores = [reference.trace(image).score for image in images]
    judge(measured, reference_scores, np.array([image.is_defective for image in test]))
    for row in measured:
        if "refused" in row:
            print(row["name"], "cannot run:", row["refused"], flush=True)
            continue
        row["install_bytes"] = size_bytes(made[row["environment"]].python)
        print(row["name"], np.median(row["ms"]), row["image_auroc"], flush=True)
    return {
        "bank_images": options.images,
        "bank_rows": len(fitted.bank.features),
        "test": [[image.path.name, image.kind] for image in test],
        "fit": fits,
        "searches": searches,
        "reference_scores": reference_scores,
        "ways": measured,
    }


def environments(options: argparse.Namespace, folder: Path) -> dict[str, Environment]:
    """Each environment by its name; those that are not there yet are made."""
    there = {name: Environment(python=Path(p).absolute()) for name, p in options.python}
    if unknown := there.keys() - ENVIRONMENTS.keys():
        raise SystemExit(f"no such environment: {', '.join(unknown)}")
    return {
        name: there.get(name) or make_environment(folder / name, requirements)
        for name, requirements in ENVIRONMENTS.items()
        if name != INSPECTION or options.inspection
    }


def make_environment(folder: Path, requirements: Sequence[str]) -> Environment:
    """A new environment with what is required."""
    print("installing", *requirements, flush=True)
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin/python"
    pip = [str(python), "-m", "pip", "install", "--quiet"]
    command = [*pip, "--constraint", str(ROOT / "constraints.txt"), *requirements]
    installed = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    print(installed.stderr, file=sys.stderr, end="")
    if installed.returncode != 0:
        refused = f"pip install {' '.join(requirements)}: {last_line(installed.stderr)}"
        return Environment(python=python, refused=refused)
    return Environment(python=python)


def size_bytes(python: Path) -> int:
    """Of all files of the environment that an interpreter belongs to."""
    files = (path.lstat() for path in python.parents[1].rglob("*") if not path.is_dir())
    return sum(file.st_size for file in files)


def fit_edge_ad(
    good: Sequence[Path], count: int, folder: Path
) -> tuple[FittedDetector, dict[str, float]]:
    """Fit ``count`` images and some more, which set the threshold.

    The former go to ``good.npy``, the numbers of the chosen patches to ``rows.npy``. Features and
    coreset are part of ``fit_s``, and timed again by themselves.
    """
    config = PatchCoreConfig(weights=imagenet_resnet18(), holdout_fraction=1 / (HELD_OUT + 1))
    fit_s, fitted = seconds(lambda: fit(good[: count + count // HELD_OUT], config))
    in_bank = [Path(i.path) for i in fitted.record.images if i.held_out_score is None]
    run = partial(extract, build_network(config))
    features_s, features = seconds(
        lambda: extract_files(run, in_bank, config.preprocessing, progress=False)
    )
    bank, patches = fitted.bank.features, features.reshape(-1, features.shape[-1])
    coreset_s, rows = seconds(lambda: greedy_coreset(patches, len(bank), seed=config.seed))
    assert np.allclose(patches[rows], bank, atol=1e-4), "the same choice twice"
    np.save(folder / "good.npy", [load_preprocessed(p, config.preprocessing) for p in in_bank])
    np.save(folder / "rows.npy", rows)
    return fitted, {"fit_s": fit_s, "features_s": features_s, "coreset_s": coreset_s}


def prepare(environment: Environment, folder: Path, *command: str) -> dict[str, Any]:
    """Another library times its fit and writes its model, with our choice of patches."""
    try:
        result: dict[str, Any] = json.loads(environment.start(folder, *command).result())
    except PeerError as exc:
        return {"refused": str(exc)}
    return result


def draw(test: Sequence[TestImage], count: int) -> list[TestImage]:
    """Half good, half defective images, a seeded draw."""
    rng = np.random.default_rng(0)
    kinds = [[image for image in test if image.is_defective is wanted] for wanted in (False, True)]
    return [kind[i] for kind in kinds for i in rng.permutation(len(kind))[: count // 2]]


def anomalib_ways(folder: Path, fit_there: dict[str, Any]) -> list[Way]:
    def way(name: str, kind: str, model: str, environment: str = "anomalib", batch: int = 1) -> Way:
        return Way(
            name=f"anomalib, {name}",
            environment=environment,
            command=("peer_anomalib", kind, str(folder / model)),
            truth=REFERENCE if name == "torch" else ANOMALIB,
            images_per_call=batch,
            refused=fit_there.get("refused"),
        )

    as_exported = "default/weights/openvino/model.xml"
    for_one = "one/weights/openvino/model.xml"
    return [
        way("torch", "torch", "weights/torch/model.pt"),
        way(
            "OpenVINO as exported",
            "openvino",
            as_exported,
            batch=fit_there.get("exported_batch", 1),
        ),
        way("OpenVINO for one image", "openvino", for_one),
        way("OpenVINO for one image in float32", "openvino-f32", for_one),
        way("ONNX Runtime", "onnxruntime", "one/weights/onnx/model.onnx", "onnxruntime alone"),
    ]


def measure(
    ways: Sequence[Way], made: dict[str, Environment], folder: Path, count: int
) -> list[dict[str, Any]]:
    """Start each way a few times, then have all score the images of ``test.npy`` in turn.

    What cannot, or ends on the way, has ``refused`` in the place of its samples.
    """
    kept = ("name", "environment", "truth", "images_per_call")
    rows: dict[Way, dict[str, Any]] = {
        way: {
            **{key: getattr(way, key) for key in kept},
            "cold_start_ms": [],
            "ms": [],
            "scores": [],
        }
        for way in ways
    }
    peers: dict[Way, Peer] = {}

    def running() -> list[Way]:
        return [way for way in ways if "refused" not in rows[way]]

    def start(way: Way) -> Peer:
        if way.refused is not None:
            raise PeerError(way.refused)
        images = str(folder / "test.npy")
        module = made[way.environment].start(folder, *way.command, images)
        return Peer(module, [0] * way.images_per_call)

    for _ in range(STARTS):
        while peers:
            peers.popitem()[1].close()
        for way in running():
            try:
                elapsed_s, peers[way] = seconds(partial(start, way))
                rows[way]["cold_start_ms"].append(elapsed_s * 1e3)
            except PeerError as exc:
                rows[way]["refused"] = str(exc)
    for i in range(count):
        for way in running():
            time.sleep(PAUSE_S)
            try:
                answer = peers[way].score([(i + j) % count for j in range(way.images_per_call)])
            except PeerError as exc:
                rows[way]["refused"] = str(exc)
                continue
            rows[way]["ms"].append(answer.ms)
            rows[way]["scores"].append(answer.scores[0])
            rows[way]["peak_memory_bytes"] = answer.peak_memory_bytes
    for way in running():
        peers[way].close()
    return [
        {key: row[key] for key in (*kept, "refused")} if "refused" in row else row
        for row in rows.values()
    ]


def judge(
    measured: list[dict[str, Any]], reference_scores: list[float], is_defective: NDArray[np.bool_]
) -> None:
    """Add to each way how well its scores rank, and how far they are from what they should be."""
    ran = [row for row in measured if "refused" not in row]
    every = {row["name"]: np.array(row["scores"]) for row in ran}
    every[REFERENCE] = np.array(reference_scores)
    for row in ran:
        scores, truth = every[row["name"]], every.get(row["truth"])
        row["image_auroc"] = auroc(scores, is_defective)
        row["largest_relative_score_difference"] = (
            None if truth is None else float(np.max(np.abs(scores / truth - 1)))
        )


if __name__ == "__main__":
    main()
