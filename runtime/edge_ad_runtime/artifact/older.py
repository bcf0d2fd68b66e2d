"""Read and check schema 3, which the version before this one wrote, and turn it into schema 4.

The records here are what schema 3 was, to the last key, because its seal is taken over its text.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal

from edge_ad_runtime.artifact import schema as today
from edge_ad_runtime.artifact import strict
from edge_ad_runtime.artifact.calibration_records import Calibration
from edge_ad_runtime.artifact.head_records import (
    BankRecord,
    ExactSearchRecord,
    GraphSearchRecord,
    HnswSearchRecord,
    MapSettings,
    PatchSearchRecord,
    Scoring,
    SearchRecord,
)
from edge_ad_runtime.artifact.schema import FileEntry, ReferenceImage
from edge_ad_runtime.artifact.strict import AtMost, Between, Matching
from edge_ad_runtime.artifact.words import (
    EngineName,
    FileName,
    FolderName,
    Fraction,
    Positive,
    Precision,
    QuantisedFor,
    Rows,
    Sha256,
    Side,
    Text,
)
from edge_ad_runtime.images.preprocess import Preprocessing

SCHEMA = 3

_GRAPH = "features.onnx"


@dataclass(frozen=True, kw_only=True)
class _Network:
    backbone: Text
    precision: Precision
    weights: Text
    weights_sha256: Sha256
    layers: Annotated[tuple[int, ...], AtMost(100)]
    patch_size: Side
    grid: tuple[Side, Side]
    dimension: Side
    quantised_for: QuantisedFor | None = strict.optional()


@dataclass(frozen=True, kw_only=True)
class _Scoring:
    neighbours: Annotated[int, Between(1, 1000)]
    squared: bool
    reweight_neighbours: Annotated[int, Between(0, 1000)]
    blur_sigma_px: Annotated[float, Between(0, 100)]
    upsampling: Literal["bilinear", "nearest"]
    border: Literal["reflect", "mirror"]


@dataclass(frozen=True, kw_only=True)
class _Search:
    """One record for all kinds of search. A field that a kind does not have is 0."""

    kind: Literal["exact", "hnsw", "graph"]
    rows: Rows
    code_dimension: Annotated[int, Between(0, 65_536)]
    links: Annotated[int, Between(0, 256)]
    ef_construction: Annotated[int, Between(0, 10_000)]
    ef_search: Annotated[int, Between(0, 10_000)]
    candidates: Annotated[int, Between(0, 10_000)]
    rounds: Annotated[int, Between(0, 100)]
    reason: Text

    def __post_init__(self) -> None:
        least = min(
            self.code_dimension, self.links, self.ef_construction, self.ef_search, self.candidates
        )
        if self.kind == "hnsw" and least < 1:
            raise ValueError("a number of hnsw is 0; all but rounds must be 1 or more")

    def upgraded(self) -> SearchRecord:
        if self.kind == "exact":
            return ExactSearchRecord(reason=self.reason)
        if self.kind == "graph":
            return GraphSearchRecord(reason=self.reason)
        return HnswSearchRecord(
            code_dimension=self.code_dimension,
            links=self.links,
            ef_construction=self.ef_construction,
            ef_search=self.ef_search,
            candidates=self.candidates,
            rounds=self.rounds,
            reason=self.reason,
        )


@dataclass(frozen=True, kw_only=True)
class _Member:
    folder: FolderName
    bank_precision: Literal["float32", "float16"]
    network: _Network
    scoring: _Scoring
    search: _Search
    scale: Positive

    def upgraded(self) -> today.Member:
        return today.Member(
            folder=self.folder, scale=self.scale, network=self._network(), head=self._head()
        )

    def _network(self) -> today.NetworkRecord:
        network, grid = self.network, self.network.grid
        outputs = {"features": today.Output(shape=(*grid, network.dimension), dtype="float32")}
        if self.search.kind == "graph":
            shape = (grid[0] * grid[1], self.scoring.neighbours)
            outputs["rows"] = today.Output(shape=shape, dtype="int64")
        return today.NetworkRecord(
            file=_GRAPH,
            precision=network.precision,
            outputs=outputs,
            origin={
                "method": "patchcore",
                "backbone": network.backbone,
                "weights": network.weights,
                "weights_sha256": network.weights_sha256,
                "layers": ", ".join(map(str, network.layers)),
                "patch_size": str(network.patch_size),
            },
            quantised_for=network.quantised_for,
        )

    def _head(self) -> PatchSearchRecord:
        scoring = self.scoring
        if scoring.reweight_neighbours == 1:
            raise ValueError("reweight_neighbours is 1, which makes every score 0; it is 0 or more")
        return PatchSearchRecord(
            grid=self.network.grid,
            dimension=self.network.dimension,
            bank=BankRecord(rows=self.search.rows, precision=self.bank_precision),
            search=self.search.upgraded(),
            scoring=Scoring(
                neighbours=scoring.neighbours,
                squared=scoring.squared,
                reweight_neighbours=scoring.reweight_neighbours or None,
            ),
            map=MapSettings(
                upsampling=scoring.upsampling,
                blur_sigma_px=scoring.blur_sigma_px,
                border=scoring.border,
            ),
        )


@dataclass(frozen=True, kw_only=True)
class _Calibration:
    method: Literal["split-conformal", "given"]
    threshold: Annotated[float, Between(0, 1e12)]
    false_reject_rate: Fraction
    requested_rate: Fraction | None
    interval: tuple[Fraction, Fraction]
    images: Annotated[int, Between(0, 10**9)]


@dataclass(frozen=True, kw_only=True)
class _Tolerances:
    preprocess_levels: Annotated[int, Between(0, 8)]
    features: Annotated[float, Between(0, 0.1)]
    distances: Annotated[float, Between(0, 11)]
    map: Annotated[float, Between(0, 0.1)]
    score: Annotated[float, Between(0, 0.1)]
    precision: Annotated[float, Between(0, 1000)]

    def upgraded(self, *, is_reduced: bool) -> dict[str, float]:
        tolerances = {"preprocess": float(self.preprocess_levels), **vars(self)}
        del tolerances["preprocess_levels"]
        if not is_reduced:
            del tolerances["precision"]
        return tolerances


@dataclass(frozen=True, kw_only=True)
class _PrecisionLoss:
    images: Annotated[int, Between(1, 10**9)]
    features: Annotated[float, Between(0, 1e12)]
    distances: Annotated[float, Between(0, 1e12)]
    score_mean: Annotated[float, Between(0, 1e12)]
    score_worst: Annotated[float, Between(0, 1e12)]
    auroc_fp32: Fraction | None
    auroc: Fraction | None
    accepted: bool

    def upgraded(self) -> today.PrecisionLoss:
        rest = vars(self).copy()
        stages = {stage: rest.pop(stage) for stage in ("features", "distances")}
        return today.PrecisionLoss(stages=stages, **rest)


@dataclass(frozen=True, kw_only=True)
class Manifest3:
    """The whole of a manifest of schema 3."""

    schema: int
    method: Literal["patchcore"]
    head: Literal["patch-search"]
    engine: EngineName
    preprocessing: Preprocessing
    members: Annotated[tuple[_Member, ...], AtMost(16)]
    calibration: _Calibration
    tolerances: _Tolerances
    precision_loss: _PrecisionLoss | None
    reference: Annotated[tuple[ReferenceImage, ...], AtMost(1000)]
    versions: Annotated[dict[Text, Text], AtMost(100)]
    files: Annotated[dict[FileName, FileEntry], AtMost(2000)]
    sha256: Annotated[str, Matching("([0-9a-f]{64})?", "a SHA-256")] = ""

    def sealed(self) -> Manifest3:
        """The same manifest with ``sha256`` filled in."""
        return replace(self, sha256=today.seal(replace(self, sha256="")))

    def to_text(self) -> str:
        """The exact content of ``manifest.json``."""
        return strict.dumps(self) + "\n"

    def upgraded(self) -> today.Manifest:
        """The same content in today's records, with the ``schema`` and ``sha256`` of the file."""
        loss = self.precision_loss
        return today.Manifest(
            schema=self.schema,
            engine=self.engine,
            preprocessing=self.preprocessing,
            members=tuple(member.upgraded() for member in self.members),
            calibration=Calibration(**vars(self.calibration)),
            tolerances=self.tolerances.upgraded(is_reduced=loss is not None),
            precision_loss=None if loss is None else loss.upgraded(),
            reference=self.reference,
            versions=self.versions,
            files=self.files,
            sha256=self.sha256,
        )


def parse(raw: object) -> Manifest3:
    """Build a manifest of schema 3 from parsed JSON.

    Raises:
        ValueError: there is a key, type or value that schema 3 does not have, or something that
            `upgraded` refuses.
    """
    manifest = strict.parse(Manifest3, raw)
    manifest.upgraded()
    return manifest
