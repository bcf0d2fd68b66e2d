"""One network of an artifact, written: graph, arrays of the head, and its part of the manifest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx

from edge_ad.fitting.ensemble import Ensemble
from edge_ad_export.compiled_network import CompiledNetwork, learning_engine
from edge_ad_export.graph.appended import appended
from edge_ad_export.graph.written import write_graph
from edge_ad_export.proof.reference_set import Reference
from edge_ad_export.search import compile_search
from edge_ad_export.search.index import IndexBuilder
from edge_ad_export.settings import ExportConfig
from edge_ad_runtime.artifact.folder import GRAPH
from edge_ad_runtime.artifact.head_records import GallerySearchRecord, PatchSearchRecord
from edge_ad_runtime.artifact.schema import Member, NetworkRecord, Output
from edge_ad_runtime.engines import Graph, open_engine


def describe_search(member: Member) -> str:
    """What the member searches with and why, for people. Empty if it does not search."""
    if isinstance(member.head, PatchSearchRecord | GallerySearchRecord):
        return f"{member.head.search.kind}: {member.head.search.reason}"
    return ""


def write_member(
    artifact: Path,
    ensemble: Ensemble,
    i: int,
    network: CompiledNetwork,
    references: list[Reference],
    config: ExportConfig,
    indexes: IndexBuilder,
) -> Member:
    """Write the files of one network, and return its part of the manifest."""
    name = "" if len(ensemble.members) == 1 else f"member-{i + 1}"
    folder = artifact / name
    folder.mkdir(exist_ok=True)
    traces = [reference.traces[i] for reference in references]
    compiled = compile_search(
        network.fitted, network.lowered, network.onnx, network.run, traces, config, indexes, folder
    )
    tail = network.lowered.tail
    model = onnx.load_from_string(compiled.onnx) if tail is None else appended(compiled.onnx, tail)
    data = write_graph(model, folder / GRAPH)
    for file, values in compiled.arrays.items():
        np.save(folder / file, values, allow_pickle=False)
    return Member(
        folder=name,
        scale=ensemble.scales[i],
        network=NetworkRecord(
            file=GRAPH,
            data=None if data is None else data.name,
            precision=config.precision,
            outputs=_outputs(folder / GRAPH, network.fitted.config.size, config),
            origin=dict(network.lowered.origin),
            quantised_for=config.target if config.precision == "int8" else None,
        ),
        head=compiled.head,
    )


def _outputs(path: Path, size: tuple[int, int], config: ExportConfig) -> dict[str, Output]:
    """The graph's outputs, with shapes and types found by running it once."""
    graph = Graph(onnx=path, precision=config.precision)
    engine = open_engine(learning_engine(config), graph)
    found = engine.run(np.zeros((1, *size, 3), np.uint8))
    engine.close()
    return {
        name: Output(shape=value.shape[1:], dtype=value.dtype.name)  # type: ignore[arg-type]
        for name, value in found.items()
    }
