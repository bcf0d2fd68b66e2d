"""Every setting in the PatchCore paper's tables and figures, beside what the paper reports."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.paper import numbers as paper
from edge_ad import PatchCoreConfig
from edge_ad.methods.padim.settings import PadimConfig
from edge_ad.methods.spade.settings import SpadeConfig

Config = PatchCoreConfig | PadimConfig | SpadeConfig

SHOTS = (1, 2, 5, 10, 16, 20, 50)
SEEDS = 1  # of the draws of shots
SWEEP = 200  # images that figures 4 and 5 and table 5 are fitted on, where a data set has more
IVFPQ = "100% + IVFPQ"
_NOT_YET = "imagenet"  # a setting is valid with weights alone; whoever runs a row gives his own


@dataclass(frozen=True, kw_only=True)
class Row:
    """One setting of a table: what is fitted (several: an ensemble), and the paper's figures."""

    table: str
    label: str
    members: tuple[Config, ...]
    paper: paper.Figures = (None, None, None)
    approximate: bool = False


def rows(backbone: str) -> Iterator[Row]:
    """Every setting of the paper, with ``backbone`` for its WideResNet50."""
    # the paper's: scaled to 256, 224 cut out, and every image in the bank
    base = PatchCoreConfig(
        backbone=backbone,
        weights=_NOT_YET,
        resize_px=256,
        holdout_fraction=0,
        false_reject_rate=None,
    )
    sweep = replace(base, shots=SWEEP, coreset_fraction=0.01)
    yield from _main_tables(base)
    yield from _peers(backbone)
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


def _peers(backbone: str) -> Iterator[Row]:
    """The methods that the paper compares with, as far as they are ours too."""
    dimensions = {"resnet18": 100, "wide_resnet50_2": 550}.get(backbone)
    alike: dict[str, Any] = {
        "backbone": backbone,
        "weights": _NOT_YET,
        "resize_px": 256,
        "calibration": "split",
        "holdout_fraction": 0,
    }
    peers: dict[str, SpadeConfig | PadimConfig] = {
        "SPADE": SpadeConfig(**alike),
        "PaDiM": PadimConfig(**alike, dimensions=dimensions),
    }
    for name, config in peers.items():
        yield Row(table="Tables 1 to 3", label=name, members=(config,), paper=paper.PEERS[name])
        figures, _ = paper.TABLE_5[name]
        timed = replace(config, shots=SWEEP)
        yield Row(table="Table 5", label=name, members=(timed,), paper=figures)
        for shots in SHOTS:
            yield Row(
                table="Figure 6 and table S5",
                label=f"{name}, {shots} shots, draw 1",
                members=(replace(config, shots=shots),),
                paper=paper.TABLE_S5_PEERS[name][shots],
            )


def _table_5(base: PatchCoreConfig) -> Iterator[Row]:
    for label, fraction in (("100%", 1.0), ("10%", 0.1), ("1%", 0.01), (IVFPQ, 1.0)):
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
