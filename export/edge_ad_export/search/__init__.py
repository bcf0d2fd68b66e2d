"""What is searched at run time: the bank's rows, the index, and the record of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ad.fitting.fitted import FittedDetector
from edge_ad.methods import Lowered
from edge_ad.networks.run import Run
from edge_ad.synthetic.damage import with_damage
from edge_ad_export.graph.search_in_graph import with_search
from edge_ad_export.graph.written import MOST_IN_GRAPH_BYTES
from edge_ad_export.search.choice import Queries, choose_search, start_index
from edge_ad_export.search.gallery import choose_gallery_search
from edge_ad_export.search.index import IndexBuilder
from edge_ad_export.settings import ExportConfig
from edge_ad_runtime.artifact.head_records import (
    BankRecord,
    GallerySearchRecord,
    HeadRecord,
    PatchSearchRecord,
)
from edge_ad_runtime.errors import ConfigError, ExportError
from edge_ad_runtime.heads.gallery_images import GALLERY
from edge_ad_runtime.heads.patch_search import BANK, FEATURES

_HELD_OUT_QUERIES = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class CompiledSearch:
    """A member whose search has been decided.

    Attributes:
        onnx: the graph, with the search in it where that was asked for.
        head: the record, with the search that was chosen.
        arrays: what to write beside the graph, by file name. The index is already written.
    """

    onnx: bytes
    head: HeadRecord
    arrays: Mapping[str, NDArray[Any]]


def compile_search(
    fitted: FittedDetector,
    lowered: Lowered,
    graph: bytes,
    run: Run,
    traces: Sequence[Mapping[str, NDArray[Any]]],
    config: ExportConfig,
    indexes: IndexBuilder,
    folder: Path,
) -> CompiledSearch:
    """Choose the search of a head that searches. Other heads are left as they are.

    Args:
        fitted: what is exported.
        lowered: what a device needs of the fit.
        graph: the network as a graph.
        run: the same network, ready to run.
        traces: the reference's values of some images, damaged ones too.
        config: the settings.
        indexes: builds the indexes that are tried. See `begin_search`.
        folder: where an index is written.

    Raises:
        ConfigError: a search was asked for, and the method does not search, or not so.
        ExportError: the bank does not fit into a graph, or `choose_search` has raised it.
    """
    head, arrays = lowered.head, lowered.arrays
    if isinstance(head, GallerySearchRecord):
        found = choose_gallery_search(head, arrays[GALLERY], config, folder)
        return CompiledSearch(onnx=graph, head=replace(head, search=found), arrays=arrays)
    if not isinstance(head, PatchSearchRecord):
        if config.search != "auto":
            raise ConfigError(
                f"search is {config.search!r}, and {fitted.record.method} does not search; "
                "leave it out"
            )
        return CompiledSearch(onnx=graph, head=head, arrays=arrays)
    bank = np.asarray(arrays[BANK], np.float32)
    if config.search == "graph":
        if bank.nbytes > MOST_IN_GRAPH_BYTES:
            raise ExportError(
                f"a bank of {bank.nbytes / 1e9:.1f} GB does not fit into a graph (2 GB at most); "
                "fit with a smaller --coreset-fraction, or export with another --search"
            )
        graph = with_search(graph, bank, head.scoring.neighbours)
    queries = _queries(fitted, run, traces)
    search = choose_search(head, bank, queries, config, indexes, folder)
    stored = BankRecord(
        rows=head.bank.rows,
        precision=config.bank_precision,
        certificate=fitted.record.certificate,
    )
    return CompiledSearch(
        onnx=graph,
        head=replace(head, bank=stored, search=search),
        arrays={**arrays, BANK: bank.astype(config.bank_precision)},
    )


def begin_search(lowered: Lowered, config: ExportConfig, indexes: IndexBuilder) -> None:
    """Begin to build the index that `compile_search` will try first, if there is one.

    Args:
        lowered: what a device needs of the fit. Its bank is final.
        config: the settings.
        indexes: builds it.
    """
    if isinstance(lowered.head, PatchSearchRecord):
        start_index(lowered.arrays[BANK], config, indexes)


def _queries(
    fitted: FittedDetector, run: Run, traces: Sequence[Mapping[str, NDArray[Any]]]
) -> Queries:
    """The patch features of the reference images, damaged ones too, and of held-out images.

    A bank that knows the images would be searched too easily. Where none were held out, they are
    mirrored: good parts that are new to it.
    """
    shown = fitted.held_out[:_HELD_OUT_QUERIES]
    if any(image.held_out for image in fitted.record.images):
        features = [trace[FEATURES] for trace in traces]
    else:
        features, shown = [], np.stack(list(with_damage(shown[:, :, ::-1], fitted.config.seed)))
    features += [run(image[np.newaxis])[FEATURES][0] for image in shown]
    return [patches.reshape(-1, patches.shape[-1]) for patches in features]
