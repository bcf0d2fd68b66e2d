"""The tables and figures of the PatchCore paper, for whatever data and weights are there.

    python -m benchmarks.paper DATA_ROOT --weights resnet18=FILE wide_resnet50_2=imagenet

Finds the data sets below DATA_ROOT (MVTec AD, BTAD, VisA, magnetic tile, frame folders), fits,
exports with exact search and evaluates the artifact, run by run. The first backbone is the one that
is varied; rows whose weights are not given are listed, not run. Runs are kept in
results/paper.json as they end and are not repeated, so it can be stopped and started again;
`benchmarks.paper_tables` writes PAPER.md from there.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import paper_numbers as paper
from benchmarks.datasets import DataSet, find_data_sets
from benchmarks.ivfpq import IvfpqSearch
from benchmarks.record import RESULTS, write_record
from edge_ad import PatchCoreConfig, fit
from edge_ad.evaluation.evaluate import Evaluation, evaluate
from edge_ad_export import ExportConfig, export
from edge_ad_runtime import Detector

SHOTS = (1, 2, 5, 10, 16, 20, 50)
SEEDS = 1  # of the draws of shots
SWEEP = 200  # images that figures 4 and 5 and table 5 are fitted on, where a data set has more
TIMED = 50  # test images that table 5 times, one detector after the other on each
RECORD = RESULTS / "paper.json"
IVFPQ = "100% + IVFPQ"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One setting of a table: what is fitted (several: an ensemble), and the paper's figures."""

    table: str
    label: str
    members: tuple[PatchCoreConfig, ...]
    paper: paper.Figures = (None, None, None)
    approximate: bool = False


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data_root", type=Path)
    parser.add_argument("--weights", nargs="+", required=True, metavar="BACKBONE=FILE|imagenet")
    parser.add_argument("--tables", nargs="+", help="only these, such as 'Figure 4'")
    options = parser.parse_args()
    weights = dict(item.split("=", 1) for item in options.weights)
    data_sets = find_data_sets(options.data_root.resolve())
    runs = _kept()
    for row in rows(next(iter(weights))):
        if options.tables and row.table not in options.tables:
            continue
        for data in data_sets:
            key = f"{row.table} | {row.label} | {data.name}"
            if key in runs or not _wanted(row, data) or not _known(row, weights):
                continue
            print(key, flush=True)
            if row.table == "Table 5":
                times = run_table_5(next(iter(weights)), data, weights)
                runs |= {f"Table 5 | {label} | {data.name}": v for label, v in times.items()}
            else:
                runs[key] = run(row, data, weights)
            print("  ", {k: v for k, v in runs[key].items() if k != "settings"}, flush=True)
            content = {"backbone": next(iter(weights)), "weights": sorted(weights), "runs": runs}
            write_record("paper", content)


def rows(backbone: str) -> Iterator[Row]:
    """Every setting of the paper, with ``backbone`` for its WideResNet50."""
    # the paper's: scaled to 256, 224 cut out, and every image in the bank
    base = PatchCoreConfig(
        backbone=backbone, resize_px=256, holdout_fraction=0, false_reject_rate=None
    )
    sweep = replace(base, shots=SWEEP, coreset_fraction=0.01)
    yield from _main_tables(base)
    yield from _table_5(sweep)
    yield from _table_4(replace(base, coreset_fraction=0.01))
    yield from _figure_4(sweep)
    yield from _figure_5(sweep)
    yield from _few_shots(replace(base, coreset_fraction=0.25))
    for (name, fraction), figures in paper.TABLE_S6.items():
        config = replace(base, backbone=name, coreset_fraction=fraction)
        label = f"{name}, {fraction:.0%}"
        yield Row(table="Table S6", label=label, members=(config,), paper=figures)


def _main_tables(base: PatchCoreConfig) -> Iterator[Row]:
    for fraction, figures in paper.FRACTIONS.items():
        config = replace(base, coreset_fraction=fraction)
        label = f"PatchCore {fraction:.0%}"
        yield Row(table="Tables 1 to 3", label=label, members=(config,), paper=figures)
    # table 6 is this on magnetic tile, and on mSTC, where the paper uses deeper layers
    config = replace(base, coreset_fraction=0.1, layers=(3, 4))
    yield Row(table="Table 6", label="PatchCore 10%, layers 3+4", members=(config,))


def _table_4(base: PatchCoreConfig) -> Iterator[Row]:
    def sized(config: PatchCoreConfig, size: int) -> PatchCoreConfig:
        return replace(config, size=(size, size), resize_px=round(size * 256 / 224))

    ensemble, two, three = paper.TABLE_4.items()
    large = replace(base, backbone="wide_resnet101_2")
    names = ("densenet201", "resnext101_32x8d", "wide_resnet101_2")
    members = tuple(
        # some images must be held out to put the members on one scale
        sized(replace(base, backbone=name, holdout_fraction=0.05), 320)
        for name in names
    )
    yield Row(table="Table 4", label=ensemble[0], members=members, paper=ensemble[1])
    yield Row(table="Table 4", label=two[0], members=(sized(large, 280),), paper=two[1])
    both = sized(replace(large, layers=(1, 2, 3)), 280)
    yield Row(table="Table 4", label=three[0], members=(both,), paper=three[1])
    for layers, size in (((2, 3), 224), ((2, 3), 280), ((2, 3), 320)):
        label = f"{base.backbone}, layers {_plus(layers)}, {size} px"
        config = sized(replace(base, layers=layers), size)
        yield Row(table="Table 4", label=label, members=(config,))
    base = replace(base, holdout_fraction=0.05)
    pair = (replace(base, layers=(2,)), replace(base, layers=(3,)))
    label = f"{base.backbone}, layers 2 & layers 3, 224 px"
    yield Row(table="Table 4", label=label, members=pair)


def _table_5(base: PatchCoreConfig) -> Iterator[Row]:
    for label, fraction in (("100%", 1.0), ("10%", 0.1), ("1%", 0.01), (IVFPQ, 1.0)):
        if label == IVFPQ and find_spec("faiss") is None:
            continue
        config = replace(base, coreset_fraction=fraction)
        figures, _ = paper.TABLE_5[label]
        yield Row(table="Table 5", label=label, members=(config,), paper=figures)


def _figure_4(base: PatchCoreConfig) -> Iterator[Row]:
    for p in (1, 3, 5, 7, 9, 13):
        yield _approximate("Figure 4", f"p = {p}", replace(base, patch_size=p))
    for layers in ((1,), (2,), (3,), (1, 2), (2, 3), (1, 2, 3)):
        yield _approximate("Figure 4", f"layers {_plus(layers)}", replace(base, layers=layers))


def _figure_5(base: PatchCoreConfig) -> Iterator[Row]:
    for fraction in (0.25, 0.1, 0.01):
        for subsampler in ("greedy", "random", "proxies"):
            config = replace(base, subsampler=subsampler, coreset_fraction=fraction)
            yield _approximate("Figure 5", f"{subsampler} {fraction:.0%}", config)
    for stride in (2, 3):
        config = replace(base, stride=stride, coreset_fraction=1)
        yield _approximate("Figure 5", f"stride {stride}", config)


def _few_shots(base: PatchCoreConfig) -> Iterator[Row]:
    for shots in SHOTS:
        figures = paper.TABLE_S5.get(shots, (None, None, None))
        for seed in range(SEEDS):
            yield Row(
                table="Figure 6 and table S5",
                label=f"{shots} shots, draw {seed + 1}",
                members=(replace(base, shots=shots, seed=seed),),
                paper=figures,
            )


def _approximate(table: str, label: str, config: PatchCoreConfig) -> Row:
    figures = paper.APPROXIMATE.get(label, (None, None, None))
    return Row(table=table, label=label, members=(config,), paper=figures, approximate=True)


def _plus(layers: tuple[int, ...]) -> str:
    return "+".join(map(str, layers))


def _wanted(row: Row, data: DataSet) -> bool:
    """Layers 3+4 are for mSTC; few shots need as many images."""
    shots = row.members[0].shots or 1
    if row.table == "Table 6" and data.layout != "frames":
        return False
    return shots == SWEEP or shots <= len(data.good)


def _known(row: Row, weights: dict[str, str]) -> bool:
    return all(member.backbone in weights for member in row.members)


def run(row: Row, data: DataSet, weights: dict[str, str]) -> dict[str, Any]:
    """Fit, export, evaluate."""
    with tempfile.TemporaryDirectory() as folder:
        detector, made = _detector(row, data, weights, Path(folder))
        return {**made, **_figures(evaluate(detector, data.test))}


def run_table_5(backbone: str, data: DataSet, weights: dict[str, str]) -> dict[str, dict[str, Any]]:
    """The rows of table 5 by label, their detectors timed in turn on the same images."""
    table = [row for row in rows(backbone) if row.table == "Table 5"]
    with tempfile.TemporaryDirectory() as folder:
        detectors, results = {}, {}
        for row in table:
            detector, made = _detector(row, data, weights, Path(folder) / row.label)
            detectors[row.label], results[row.label] = detector, made
        for row in table:
            results[row.label] |= _figures(evaluate(detectors[row.label], data.test))
        times: dict[str, list[dict[str, float]]] = {row.label: [] for row in table}
        for image in data.test[:TIMED]:
            for label, detector in detectors.items():
                times[label].append(detector.predict(image.path).timings_ms)
    for label, found in times.items():
        stages = {stage: float(np.median([t[stage] for t in found])) for stage in found[0]}
        results[label] |= {"median_ms": stages, "total_ms": [t["total"] for t in found]}
    return results


def _detector(
    row: Row, data: DataSet, weights: dict[str, str], folder: Path
) -> tuple[Detector, dict[str, Any]]:
    """Fit and export, with exact search or, for that row of table 5, faiss's IVFPQ."""
    start = time.perf_counter()
    fits = []
    for member in row.members:
        shots = min(member.shots or len(data.good), len(data.good))
        config = replace(member, weights=weights[member.backbone], shots=shots)
        fits.append(fit(data.good, config))
    fit_s = time.perf_counter() - start
    # no image is held out, as in the paper, and the threshold is of no use here
    settings = ExportConfig(search="exact", threshold=1.0, reference_images=1)
    detector = Detector.load(export(fits, folder / "part.edgead", settings).path)
    if row.label == IVFPQ:
        detector.members[0].search = IvfpqSearch(fits[0].bank.features)
    return detector, {
        "settings": [{**asdict(member), "weights": member.backbone} for member in row.members],
        "images_fitted": shots,
        "bank_rows": [len(fitted.bank.features) for fitted in fits],
        "fit_s": round(fit_s, 1),
    }


def _figures(evaluation: Evaluation) -> dict[str, Any]:
    """The paper's figures; errors are counted at the best F1, as in its table 1."""
    called = np.array([image.score >= evaluation.f1_best_threshold for image in evaluation.scores])
    is_defective = np.array([image.is_defective for image in evaluation.scores])
    return {
        "images_tested": evaluation.images,
        "image_auroc": evaluation.image_auroc,
        "pixel_auroc": evaluation.pixel_auroc,
        "pro": evaluation.pro,
        "false_positives": int((called & ~is_defective).sum()),
        "false_negatives": int((~called & is_defective).sum()),
    }


def _kept() -> dict[str, Any]:
    if not RECORD.exists():
        return {}
    runs: dict[str, Any] = json.loads(RECORD.read_text(encoding="utf-8"))["runs"]
    return runs


if __name__ == "__main__":
    main()
