"""A fitted network as ONNX in the precision that was asked for, with the bank that goes with it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from edge_ad.features.patches import Run, extract, restore_network
from edge_ad.fitting.fitted import FittedDetector
from edge_ad.fitting.fitting import relearn
from edge_ad_export.graph.onnx_graph import check_parity, to_onnx
from edge_ad_export.precision.int8 import reduce
from edge_ad_export.settings import ExportConfig
from edge_ad_runtime.engines import EngineName, Graph, open_engine
from edge_ad_runtime.errors import ExportError


@dataclass(frozen=True, kw_only=True, eq=False)
class CompiledNetwork:
    """A graph and what was learned with it.

    Attributes:
        fitted: the bank and the threshold are those of the exported network: a bank of float
            features searched with int8 features would answer with the quantiser's error.
        onnx: image to features.
        run: the features that are exported: torch's in float32, else the engine's.
        made: how its precision was made, for people.
        difference: of ONNX Runtime's float32 features from torch's, relative to the largest.
    """

    fitted: FittedDetector
    onnx: bytes
    run: Run
    made: str
    difference: float


def compile_network(
    fitted: FittedDetector, config: ExportConfig, *, progress: bool = False
) -> CompiledNetwork:
    """Export the network; in a reduced precision also learn bank and threshold anew.

    Args:
        fitted: with the rows of `with_rows`.
        config: the settings.
        progress: show bars on stderr.

    Raises:
        ParityError: the exported network differs from the trained one.
        ExportError, FitError: see `reduce` and `relearn`.
    """
    network = restore_network(fitted.config, fitted.backbone)
    graph = to_onnx(network, fitted.config.size)
    difference = check_parity(network, graph, fitted.held_out)
    if config.precision == "fp32":
        return CompiledNetwork(
            fitted=fitted,
            onnx=graph,
            run=partial(extract, network),
            made="fp32",
            difference=difference,
        )
    graph, made = reduce(fitted, network, graph, config, progress=progress)
    engine = open_engine(learning_engine(config), Graph(onnx=graph, precision=config.precision))
    learned = relearn(fitted, engine.run, progress=progress)
    return CompiledNetwork(
        fitted=with_rows(learned, config),
        onnx=graph,
        run=engine.run,
        made=made,
        difference=difference,
    )


def learning_engine(config: ExportConfig) -> EngineName:
    """What computes features at export: the device's engine if it is one for CPUs."""
    return config.engine if config.engine == "openvino" else "onnxruntime"


def with_rows(fitted: FittedDetector, config: ExportConfig) -> FittedDetector:
    """The same with a bank that ``config.bank_precision`` holds exactly: the truth from here on.

    Raises:
        ExportError: a feature is too large for half precision.
    """
    if config.bank_precision == "float32":
        return fitted
    with np.errstate(over="ignore"):  # told below
        rounded = fitted.bank.features.astype(np.float16).astype(np.float32)
    if not np.isfinite(rounded).all():
        raise ExportError("the bank holds features above 65504; export with float32 rows")
    return replace(fitted, bank=replace(fitted.bank, features=rounded))
