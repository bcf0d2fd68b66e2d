"""A fitted network as ONNX in the precision that was asked for, and what was learned through it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from edge_ad.fitting.fitted import FittedDetector
from edge_ad.fitting.fitting import fit_again
from edge_ad.methods import Lowered
from edge_ad.networks.run import Run, TorchRun
from edge_ad_export.graph.onnx_graph import to_onnx
from edge_ad_export.graph.parity import OUTPUT_TOLERANCE, check_parity
from edge_ad_export.precision import reduce
from edge_ad_export.search import begin_search
from edge_ad_export.search.index import IndexBuilder
from edge_ad_export.settings import ExportConfig
from edge_ad_runtime.artifact.words import EngineName
from edge_ad_runtime.engines import Graph, open_engine
from edge_ad_runtime.errors import ConfigError


@dataclass(frozen=True, kw_only=True, eq=False)
class CompiledNetwork:
    """A graph and what was learned with it.

    Attributes:
        fitted: the fit, whose kept arrays and threshold were learned through the exported network.
            A bank of float features that is searched with int8 features would answer with the
            quantiser's error.
        lowered: what a device needs.
        onnx: the graph from images to the network's named outputs. The tail is not in it.
        run: what computes the exported outputs: torch in float32, and the engine otherwise.
        made: how the graph's precision was made, for people.
        difference: how far ONNX Runtime's float32 outputs are from torch's, relative to the largest
            value.
    """

    fitted: FittedDetector
    lowered: Lowered
    onnx: bytes
    run: Run
    made: str
    difference: float


def compile_network(
    fitted: FittedDetector, config: ExportConfig, indexes: IndexBuilder, *, progress: bool = False
) -> CompiledNetwork:
    """Export the network, and in a reduced precision also learn with it anew.

    Args:
        fitted: a fit whose bank has the rows that `with_rows` gives.
        config: the settings.
        indexes: builds an index of the bank meanwhile, if the bank will not be learned anew.
        progress: show bars on stderr.

    Raises:
        ParityError: the exported network differs from the trained one.
        ExportError, FitError: see `reduce` and `fit_again`.
    """
    network = fitted.network()
    lowered, run = fitted.lower(network), TorchRun(network)
    if config.precision == "fp32":
        begin_search(lowered, config, indexes)
    graph = to_onnx(network, fitted.config.size)
    tolerance = lowered.amplification * OUTPUT_TOLERANCE
    difference = check_parity(run, Graph(onnx=graph), fitted.held_out, tolerance=tolerance)
    if config.precision == "fp32":
        return CompiledNetwork(
            fitted=fitted,
            lowered=lowered,
            onnx=graph,
            run=run,
            made="fp32",
            difference=difference,
        )
    graph, made = reduce(fitted, lowered, graph, config, progress=progress)
    engine = open_engine(learning_engine(config), Graph(onnx=graph, precision=config.precision))
    learned = with_rows(fit_again(fitted, engine.run, progress=progress), config)
    return CompiledNetwork(
        fitted=learned,
        lowered=learned.lower(network),
        onnx=graph,
        run=engine.run,
        made=made,
        difference=difference,
    )


def learning_engine(config: ExportConfig) -> EngineName:
    """What computes outputs at export: the device's engine if it is one for CPUs."""
    return config.engine if config.engine == "openvino" else "onnxruntime"


def with_rows(fitted: FittedDetector, config: ExportConfig) -> FittedDetector:
    """The same fit with a bank that ``config.bank_precision`` holds exactly.

    From here on this bank is the truth that the artifact is compared with.

    Raises:
        ExportError: a feature is too large for half precision.
        ConfigError: the method keeps no bank.
    """
    if config.bank_precision == "float32":
        return fitted
    if not hasattr(fitted.kept, "in_half"):
        raise ConfigError(
            f"bank_precision is {config.bank_precision!r}, and {fitted.record.method} keeps no "
            "bank; leave it out"
        )
    return replace(fitted, kept=fitted.kept.in_half())
