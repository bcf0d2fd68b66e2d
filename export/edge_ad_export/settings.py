"""The settings of an export."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from edge_ad_runtime.artifact.words import (
    CPU_ENGINES,
    ENGINES,
    EngineName,
    Precision,
    QuantisedFor,
)
from edge_ad_runtime.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """How a fitted detector is compiled.

    Attributes:
        engine: what devices are to run the network with. The export proves the artifact with the
            same if it is an engine for CPUs, else with ONNX Runtime on the CPU. For ``tensorrt`` on
            a machine with a GPU it also compiles the plan.
        precision: what the backbone computes in. With less than ``fp32`` the bank and the threshold
            are learned anew from the images of the fit, and what it costs is measured.
        target: the processors that an int8 network is for. ``any``: weights of 7 bits, whose sums
            are the same integers on every processor. ``vnni``, ``aarch64``, ``gpu``: of 8 bits,
            nearer to float32, for the x86 processors with VNNI, for ARM's, for GPUs; others cut
            sums off.
        loss_tolerance: mean error of image scores that a reduced precision may cost.
        accept_loss: export even if it costs more; the manifest says so.
        labelled: folder of labelled images (as of ``edge-ad evaluate``) to measure the loss on too.
        search: ``exact``, ``hnsw``, or ``auto``: time both on this machine and bank and keep the
            faster of those within ``map_tolerance``. ``graph``: exact, inside ``features.onnx``,
            for engines on a device of their own.
        map_tolerance: mean error of the patch distances, relative to their mean, that ``auto`` and
            ``hnsw`` accept on held-out images and damaged copies of them. (Image scores are exact
            in every search.)
        bank_precision: ``float32``, or ``float16``: bank rows of half the size on disk, rounded to
            11 bits before anything is measured against them.
        threshold: instead of the one that the fit has found; None: that one.
        links: HNSW's M.
        ef_construction: HNSW's build breadth.
        reference_images: how many good images ``verify`` replays; each also damaged once.
        seed: of the damage.
    """

    engine: EngineName = "onnxruntime"
    precision: Precision = "fp32"
    target: QuantisedFor = "any"
    loss_tolerance: float = 0.05
    accept_loss: bool = False
    labelled: Path | None = None
    search: Literal["auto", "exact", "hnsw", "graph"] = "auto"
    map_tolerance: float = 0.0006  # other images may cost a little more
    bank_precision: Literal["float32", "float16"] = "float32"
    threshold: float | None = None
    links: int = 16
    ef_construction: int = 200
    reference_images: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise ConfigError(f"engine is {self.engine!r}; it must be one of {', '.join(ENGINES)}")
        if self.precision not in get_args(Precision):
            raise ConfigError(
                f"precision is {self.precision!r}; it must be one of "
                f"{', '.join(get_args(Precision))}"
            )
        if self.precision == "bf16" and self.engine.startswith("onnxruntime"):
            raise ConfigError("ONNX Runtime does not compute in bf16; use --engine openvino")
        self._check_target()
        if not 0 < self.loss_tolerance < math.inf:
            raise ConfigError(f"loss_tolerance is {self.loss_tolerance}; it must be above 0")
        if self.search not in ("auto", "exact", "hnsw", "graph"):
            raise ConfigError(f"search is {self.search!r}; it must be auto, exact, hnsw or graph")
        if self.bank_precision not in ("float32", "float16"):
            raise ConfigError(
                f"bank_precision is {self.bank_precision!r}; it must be float32 or float16"
            )
        if not 1e-5 <= self.map_tolerance <= 1:
            raise ConfigError(f"map_tolerance is {self.map_tolerance}; it must be 0.00001 to 1")
        if self.threshold is not None and not 0 < self.threshold < math.inf:
            raise ConfigError(f"threshold is {self.threshold}; it must be a number above 0")
        if not 2 <= self.links <= 256 or not self.links <= self.ef_construction <= 10_000:
            raise ConfigError(
                f"links is {self.links} and ef_construction {self.ef_construction}; links must be "
                "2 to 256, and ef_construction from links to 10000"
            )
        if self.reference_images < 1:
            raise ConfigError(f"reference_images is {self.reference_images}; at least 1 is needed")

    def _check_target(self) -> None:
        if self.target not in get_args(QuantisedFor):
            raise ConfigError(
                f"target is {self.target!r}; it must be one of {', '.join(get_args(QuantisedFor))}"
            )
        if self.target == "any":
            return
        if self.precision != "int8":
            raise ConfigError(
                f"target is {self.target!r} and precision {self.precision!r}; a target is of int8 "
                "alone"
            )
        if (self.target == "gpu") == (self.engine in CPU_ENGINES):
            raise ConfigError(
                f"target is {self.target!r} and engine {self.engine!r}, which runs on "
                f"{'processors' if self.target == 'gpu' else 'GPUs'}; give another --engine, or "
                "--target any"
            )
