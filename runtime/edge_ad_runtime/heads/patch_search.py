"""The head `patch-search`: a network, its memory bank, and the search of one in the other.

An artifact has one of them, or several whose answers are combined (an ensemble).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.artifact import folder as files
from edge_ad_runtime.artifact.folder import Artifact
from edge_ad_runtime.artifact.manifest import Member
from edge_ad_runtime.artifact.npy import Shaped
from edge_ad_runtime.engines import Engine, EngineName, Graph, open_engine
from edge_ad_runtime.errors import ArtifactError, EdgeADError
from edge_ad_runtime.heads.patch_scoring import anomaly_map, image_score, patch_distances
from edge_ad_runtime.search import Nearest, Search, measured
from edge_ad_runtime.search.exact import ExactSearch

_BEYOND = 10  # times what features are expected to be
_LARGEST = 1e15  # feature: sums of squares of many such are still float32 numbers


@dataclass(frozen=True, kw_only=True, eq=False)
class Observed:
    """What the graph gives for one image.

    Attributes:
        features: ``(rows, cols, D)`` float32.
        rows: nearest bank rows ``(rows * cols, k)`` where the graph searches itself.
    """

    features: NDArray[np.float32]
    rows: NDArray[np.int64] | None = None


class PatchSearch:
    """One member of an artifact, loaded. Holds no mutable state."""

    def __init__(
        self,
        graph: Path,
        member: Member,
        engine: Engine,
        search: Search | None,
        bank: NDArray[np.float32],
        bank_neighbours: NDArray[np.int32] | None,
    ) -> None:
        self._graph = graph  # for messages
        self.member = member
        self.engine = engine
        self.search = search
        self._bank = bank
        self._bank_neighbours = bank_neighbours

    @classmethod
    def load(
        cls,
        artifact: Artifact,
        member: Member,
        *,
        engine: EngineName,
        threads: int | None,
        exact: bool,
    ) -> PatchSearch:
        """Load one member; see `edge_ad_runtime.Detector.load`."""
        bank, neighbours = _load_bank(artifact, member)
        name = member.file(files.GRAPH)
        return cls(
            artifact.folder / name,
            member,
            open_engine(
                engine,
                Graph(
                    onnx=artifact.graph(name),
                    precision=member.network.precision,
                    plans=artifact.plans,
                ),
                threads=threads,
            ),
            _load_search(artifact, member, bank, threads, exact=exact),
            bank,
            neighbours,
        )

    @property
    def kind(self) -> str:
        """The kind of search."""
        return "graph" if self.search is None else self.search.kind

    def observe(self, images: NDArray[np.uint8]) -> list[Observed]:
        """Patch features of preprocessed images ``(N, H, W, 3)``, one `Observed` each.

        Raises:
            ArtifactError: the graph's output is not what the manifest says.
            EdgeADError: features are not finite.
        """
        network, rows = self.member.network, None
        if self.search is None:
            features, rows = self.engine.run_with_rows(images)
        else:
            features = self.engine.run(images)
        expected = (len(images), *network.grid, network.dimension)
        if not isinstance(features, np.ndarray):
            raise ArtifactError(
                f"gives a {type(features).__name__}, not an array; export again", path=self._graph
            )
        if features.shape != expected or features.dtype != np.float32:
            raise ArtifactError(
                f"gives {features.dtype} features of shape {features.shape}, the manifest says "
                f"float32 {expected}; the two come from different exports, export again",
                path=self._graph,
            )
        largest = max(float(features.max()), -float(features.min()))  # nan where one value is
        if not largest < _LARGEST:
            raise EdgeADError(
                f"{self._graph} gives values that are not finite, or too large to square (up to "
                f"{largest:.3g}); the image cannot be judged"
            )
        return [
            Observed(features=features[i], rows=None if rows is None else rows[i])
            for i in range(len(images))
        ]

    def nearest(self, observed: Observed) -> Nearest:
        """Nearest bank patches of each patch, row-major.

        Raises:
            ArtifactError: the graph has found rows that are not in the bank.
        """
        flat, k = _flat(observed.features), self.member.scoring.neighbours
        if self.search is not None:
            return self.search.nearest(flat, k)
        found = observed.rows
        assert found is not None, "the graph searches"
        rows = len(self._bank)
        is_shaped = isinstance(found, np.ndarray) and found.dtype == np.int64
        if not is_shaped or found.shape != (len(flat), k):
            raise ArtifactError(
                f"gives no int64 rows of shape {(len(flat), k)}; export again", path=self._graph
            )
        if found.min() < 0 or found.max() >= rows:
            raise ArtifactError(
                f"finds rows from {found.min()} to {found.max()}, in a bank of {rows}; the two "
                "come from different exports, export again",
                path=self._graph,
            )
        return measured(flat, self._bank, found)

    def distances(self, nearest: Nearest) -> NDArray[np.float32]:
        """One distance per patch, ``(rows * cols,)``; see `patch_distances`."""
        return patch_distances(nearest, self.member.scoring)

    def score(
        self,
        features: NDArray[np.float32],
        distances: NDArray[np.float32],
        nearest: Nearest,
    ) -> float:
        """The image's score; see `image_score`."""
        return image_score(_flat(features), distances, nearest, self._bank, self._bank_neighbours)

    def map(self, distances: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
        """Anomaly map ``size`` of ``(rows * cols,)`` patch distances; see `anomaly_map`."""
        return anomaly_map(distances, self.member.network.grid, size, self.member.scoring)


def _flat(features: NDArray[np.float32]) -> NDArray[np.float32]:
    return features.reshape(-1, features.shape[-1])


def _load_bank(
    artifact: Artifact, member: Member
) -> tuple[NDArray[np.float32], NDArray[np.int32] | None]:
    rows = member.search.rows
    half, shape = member.bank_precision == "float16", (rows, member.network.dimension)
    name = member.file(files.BANK)
    stored = artifact.array(name, Shaped(np.float16 if half else np.float32, shape))
    bank = stored.astype(np.float32, copy=False)
    _check_threshold(bank, artifact, member)
    b, name = member.scoring.reweight_neighbours, member.file(files.BANK_NEIGHBOURS)
    neighbours = artifact.array(name, Shaped(np.int32, (rows, b))) if b else None
    if neighbours is not None and not (0 <= neighbours.min() and neighbours.max() < rows):
        raise ArtifactError(
            f"names rows outside the bank's {rows}; export again", path=artifact.folder / name
        )
    return bank, neighbours  # type: ignore[return-value]  # dtypes checked by Artifact.array


def _check_threshold(bank: NDArray[np.float32], artifact: Artifact, member: Member) -> None:
    """Refuse a bank or a threshold with which every image would be good.

    A patch is at most |f| + |b| from the bank. Features as long as ten times the bank's longest
    (and as its dimension lets one expect, where all good images are the same) are not met.
    """
    longest = float(np.sqrt(np.einsum("nd,nd->n", bank, bank).max()))  # nan where one row has it
    reach = _BEYOND * (2 * longest + member.network.dimension**0.5)
    threshold = artifact.manifest.calibration.threshold * member.scale
    if not np.isfinite(longest):
        raise ArtifactError(
            "holds numbers that are not finite, or too large to square; export again",
            path=artifact.folder / member.file(files.BANK),
        )
    if threshold > (reach**2 if member.scoring.squared else reach):
        raise ArtifactError(
            f"no image could be anomalous: the threshold is {threshold:g}, and the bank's features "
            f"are {longest:g} long at most; export again",
            path=artifact.folder,
        )


def _load_search(
    artifact: Artifact,
    member: Member,
    bank: NDArray[np.float32],
    threads: int | None,
    *,
    exact: bool,
) -> Search | None:
    """The member's search; None where the graph does it."""
    if member.search.kind == "graph":
        return None
    if exact or member.search.kind == "exact":
        return ExactSearch(bank)
    from edge_ad_runtime.search.hnsw import HnswSearch

    shape = (member.search.code_dimension + 1, member.network.dimension)
    index, projection = member.file(files.INDEX), member.file(files.PROJECTION)
    return HnswSearch(
        artifact.read(index),
        bank,
        artifact.array(projection, Shaped(np.float32, shape)).astype(np.float32, copy=False),
        member.search,
        path=artifact.folder / index,
        grid=member.network.grid,
        squared=member.scoring.squared,
        threads=threads,
    )
