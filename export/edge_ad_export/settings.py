"""The settings of an export."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from edge_ad_runtime.artifact.bounds import Above, AtLeast, Between
from edge_ad_runtime.artifact.words import CPU_ENGINES, EngineName, Precision, QuantisedFor
from edge_ad_runtime.errors import ConfigError
from edge_ad_runtime.settings import Settings, setting

_NETWORK, _LOSS, _SEARCH, _PROOF = "Network", "Loss", "Search", "Proof"


@dataclass(frozen=True, kw_only=True)
class ExportConfig(Settings):
    """How a fitted detector is compiled.

    Attributes:
        engine: what devices are to run the network with. The export proves the artifact with the
            same engine if it is one for CPUs, and otherwise with ONNX Runtime on the CPU. For
            ``tensorrt`` on a machine with a GPU it also compiles the plan.
        precision: what the backbone computes in. With less than ``fp32`` the method learns anew
            from the images of the fit, the threshold is set anew, and the loss is measured.
        target: the processors that an int8 network is for. With ``any`` weights have 7 bits, and
            their sums are the same integers on every processor. With ``vnni`` (x86 processors with
            VNNI), ``aarch64`` (ARM's) and ``gpu`` they have 8 bits. These are nearer to float32,
            but other processors cut sums off.
        loss_tolerance: the mean error of image scores that a reduced precision may cost.
        accept_loss: export even if the precision costs more. The manifest says so.
        labelled: a folder of labelled images (as for ``edge-ad evaluate``) to measure the loss on
            too.
        search: ``exact``, ``hnsw``, ``auto`` or ``graph``. ``auto`` times the first two on this
            machine and bank, and keeps ``hnsw`` if it is within ``map_tolerance`` and saves a fifth
            of the time or more. ``graph`` is an exact search inside the network's graph, for
            engines on a device of their own.
        map_tolerance: the mean error of the patch distances, relative to their mean, that ``auto``
            and ``hnsw`` accept on held-out images and damaged copies of them. (Image scores are
            exact in every search.)
        bank_precision: ``float32`` or ``float16``. The rows of ``float16`` have half the size on
            disk and are rounded to 11 bits before anything is measured against them.
        threshold: the threshold to use instead of the one that the fit has found. None keeps that.
            It is above 0 where scores are distances. Scores that are decades may have any: U-Flow's
            0 expects one false alarm in each image of noise, and its 2 a hundredth.
        links: HNSW's M, the links of each bank row.
        ef_construction: HNSW's build breadth.
        reference_images: how many good images ``verify`` replays. Each is also replayed damaged.
        seed: draws the damage.
    """

    engine: EngineName = setting(
        "onnxruntime", help="What devices are to run the network with.", group=_NETWORK
    )
    precision: Precision = setting(
        "fp32",
        help="What the network computes in. Below fp32 the bank and the threshold are learned anew "
        "from the images of the fit, and the loss is measured.",
        group=_NETWORK,
    )
    target: QuantisedFor = setting(
        "any",
        help="Processors that an int8 network is for. With any its weights have 7 bits, and sums "
        "are the same everywhere; the others have 8 bits, for x86 with VNNI, ARM or GPUs alone.",
        group=_NETWORK,
    )
    loss_tolerance: Annotated[float, Above(0)] = setting(
        0.05, help="Mean error of scores that a reduced precision may cost.", group=_LOSS
    )
    accept_loss: bool = setting(
        False, help="Export even if it costs more. The manifest says so.", group=_LOSS
    )
    labelled: Path | None = setting(
        None,
        help="Labelled images, as of evaluate, to measure the loss in image AUROC on too.",
        group=_LOSS,
    )
    search: Literal["auto", "exact", "hnsw", "graph"] = setting(
        "auto",
        help="How the bank is searched. auto measures exact and hnsw, and keeps hnsw if it is "
        "within tolerance and saves a fifth of the time; graph is exact, inside the network's "
        "graph.",
        group=_SEARCH,
    )
    map_tolerance: Annotated[float, Between(1e-5, 1)] = setting(
        0.0006,  # other images may cost a little more
        help="Mean error of patch distances that an approximate search may have.",
        group=_SEARCH,
    )
    bank_precision: Literal["float32", "float16"] = setting(
        "float32",
        help="How the bank is stored. float16 halves its size on disk, and scores move by about "
        "0.001%.",
        group=_SEARCH,
    )
    links: Annotated[int, Between(2, 256)] = setting(
        16, help="Links of each patch in HNSW's graph (its M).", group=_SEARCH
    )
    ef_construction: Annotated[int, Between(2, 10_000)] = setting(
        200,
        help="How many candidates HNSW keeps while it builds its graph; as many as links at least.",
        group=_SEARCH,
    )
    threshold: float | None = setting(
        None,
        help="Scores above this are anomalous. It is above 0, but of uflow, where 0 expects one "
        "false alarm in each image of noise, 2 a hundredth, and -1 ten.",
        unset="what the fit found",
        group="Threshold",
    )
    reference_images: Annotated[int, AtLeast(1)] = setting(
        3,
        help="How many good images verify replays, each damaged once too.",
        group=_PROOF,
    )
    seed: Annotated[int, AtLeast(0)] = setting(
        0, help="Seed of the damage done to the reference images.", group=_PROOF
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.precision == "bf16" and self.engine.startswith("onnxruntime"):
            raise ConfigError("ONNX Runtime does not compute in bf16; use --engine openvino")
        if self.ef_construction < self.links:
            raise ConfigError(
                f"ef_construction is {self.ef_construction}; it must be at least links, which is "
                f"{self.links}"
            )
        if self.target != "any":
            self._check_target()

    def _check_target(self) -> None:
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
