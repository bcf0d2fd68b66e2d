"""IVFPQ (Jegou, Douze & Schmid 2011) through faiss, behind the runtime's search protocol.

The paper's table 5 searches the whole bank with it. Distances are those between product-quantised
codes, as there: not re-measured, not certified. (The paper does not give its parameters.)
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ad.methods.patchcore.bank import Bank
from edge_ad_runtime import Detector
from edge_ad_runtime.artifact.head_records import PatchSearchRecord
from edge_ad_runtime.heads import Opening
from edge_ad_runtime.heads.patch_search import BANK, PatchSearch
from edge_ad_runtime.search import Nearest

_BITS = 8
_PROBES = 8
_PER_CODE = 8  # dimensions that one byte stands for


class IvfpqSearch:
    """See `edge_ad_runtime.search.Search`; its largest distance is *not* exact."""

    kind = "ivfpq"

    def __init__(self, bank: NDArray[np.float32]) -> None:
        import faiss

        rows, width = bank.shape
        cells = int(4 * rows**0.5)
        self._quantizer = faiss.IndexFlatL2(width)
        self._index: Any = faiss.IndexIVFPQ(
            self._quantizer, width, cells, width // _PER_CODE, _BITS
        )
        self._index.train(bank)
        self._index.add(bank)
        self._index.nprobe = _PROBES

    def nearest(self, queries: NDArray[np.float32], k: int = 1) -> Nearest:
        """See `Search.nearest`."""
        sq_distances, rows = self._index.search(queries, k)
        return Nearest(np.sqrt(np.maximum(sq_distances, 0)), rows, 0, np.inf)

    def close(self) -> None:
        """See `Search.close`."""


def search_with_ivfpq(detector: Detector, bank: Bank) -> None:
    """Have a detector of one member, with that bank, search with it instead."""
    (member,) = detector.members
    record = member.record.head
    assert isinstance(record, PatchSearchRecord), "it searches"
    search, opening = IvfpqSearch(bank.features), Opening(size=detector.manifest.preprocessing.size)
    member.head = PatchSearch(record, bank.features, bank.neighbours, search, opening, Path(BANK))
