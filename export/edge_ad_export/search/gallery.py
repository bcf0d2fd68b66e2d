"""How a gallery of good images is searched: all of them, or through an index where there are many.

Either way the K nearest are the right ones, because what an index proposes is certified (see
`edge_ad_runtime.search.certify`). So there is no tolerance to meet, and nothing to measure on
images: the time depends on the number of images alone.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_ad_export.search.index import build_index
from edge_ad_export.settings import ExportConfig
from edge_ad_runtime.artifact.head_records import (
    ExactSearchRecord,
    GallerySearchRecord,
    HnswSearchRecord,
)
from edge_ad_runtime.errors import ConfigError

# Images. The product with fewer takes milliseconds, beside a map that takes a hundred. That an
# index is faster from there on has not been measured: nobody had a gallery so large.
_INDEXED_FROM = 50_000
_CODE_DIMENSION = 63  # with the length left out, a multiple of what SIMD takes at once
_BREADTH = 2  # of the search, per image that is looked for


def choose_gallery_search(
    head: GallerySearchRecord, gallery: NDArray[np.float32], config: ExportConfig, folder: Path
) -> ExactSearchRecord | HnswSearchRecord:
    """Decide the search, and write its files if it is an index.

    Args:
        head: what is searched.
        gallery: ``(N, d)``, the pooled features of the good images.
        config: the settings.
        folder: where to write ``index.hnsw`` and ``projection.npy``.

    Raises:
        ConfigError: a search was asked for that a gallery does not have.
    """
    if config.search == "graph":
        raise ConfigError(
            "search is 'graph', which is for banks of patches; give exact, hnsw or auto"
        )
    if config.search == "exact":
        return ExactSearchRecord(reason="asked for")
    if config.search == "auto" and len(gallery) < _INDEXED_FROM:
        return ExactSearchRecord(
            reason=f"{len(gallery)} images; there is an index from {_INDEXED_FROM} on"
        )
    search = HnswSearchRecord(
        code_dimension=min(_CODE_DIMENSION, gallery.shape[1]),
        links=config.links,
        ef_construction=config.ef_construction,
        ef_search=_BREADTH * head.neighbours,
        candidates=head.neighbours,
        rounds=0,  # there are no patches around an image
        reason="asked for" if config.search == "hnsw" else f"{len(gallery)} images",
    )
    build_index(gallery, search, config.seed, folder)
    return search
