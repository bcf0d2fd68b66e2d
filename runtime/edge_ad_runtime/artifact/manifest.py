"""``manifest.json``: everything the runtime must know about an artifact, and nothing loose.

Reading is strict. The file must be, byte for byte, what `to_text` writes, and its last key is the
SHA-256 of itself with that key empty: a manifest edited by hand or damaged on a memory card is
refused. (This guards against accidents; it is not a signature.)
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from edge_ad_runtime.artifact import strict
from edge_ad_runtime.artifact.strict import AtMost, Between, Matching
from edge_ad_runtime.engines import EngineName, Precision
from edge_ad_runtime.errors import ArtifactError
from edge_ad_runtime.images.preprocess import Preprocessing
from edge_ad_runtime.regular_file import read_regular

QuantisedFor = Literal["any", "vnni", "aarch64", "gpu"]  # processors, of an int8 graph

SCHEMA = 3
FILE_NAME = "manifest.json"

_MOST_BYTES = 4_000_000  # of the file
_MOST_MEMBERS = 16
_MOST_REFERENCES = 1000
_MOST_FILES = 2000  # six per member, the references, and their values

# What a field may hold. Bounds are wide: they keep out what would hang, overflow or leave the
# folder, not what is unusual.
_PART = "[A-Za-z0-9_][A-Za-z0-9._-]{0,99}"
_Text = Annotated[str, AtMost(2000)]
_Folder = Annotated[str, Matching(f"({_PART})?", "the name of a folder in the artifact, or empty")]
_File = Annotated[str, Matching(f"({_PART}/){{0,3}}{_PART}", "a path below the artifact's folder")]
_Sha256 = Annotated[str, Matching("[0-9a-f]{64}", "a SHA-256")]
_Side = Annotated[int, Between(1, 65_536)]
_Rows = Annotated[int, Between(1, 2**31 - 1)]
_Share = Annotated[float, Between(0, 1)]
_Positive = Annotated[float, Between(1e-12, 1e12)]


@dataclass(frozen=True, kw_only=True)
class Network:
    """What produced the features: for people and for checks.

    Attributes:
        precision: what the backbone computes in; engines must be told.
        quantised_for: the processors that an int8 graph gives its exported values on; None for
            other precisions, and for int8 graphs from before this was stated.
    """

    backbone: _Text
    precision: Precision
    weights: _Text
    weights_sha256: _Sha256
    layers: Annotated[tuple[int, ...], AtMost(100)]
    patch_size: _Side
    grid: tuple[_Side, _Side]
    dimension: _Side
    quantised_for: QuantisedFor | None = strict.optional()


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """PatchCore's scoring.

    Attributes:
        neighbours: k, a patch's distance is the mean of those to its k nearest bank patches.
        squared: distances are squared L2 instead of L2.
        reweight_neighbours: b of equation 7, the nearest bank patch itself counted; 0: equation 6.
        blur_sigma_px: gaussian blur of the map, in pixels of the network's input.
        upsampling: how the grid of distances is enlarged to the input's size.
        border: of the gaussian, scipy's names: reflect d c b a | a b c d, mirror d c b | a b c d.
    """

    neighbours: Annotated[int, Between(1, 1000)]
    squared: bool
    reweight_neighbours: Annotated[int, Between(0, 1000)]
    blur_sigma_px: Annotated[float, Between(0, 100)]
    upsampling: Literal["bilinear", "nearest"]
    border: Literal["reflect", "mirror"]

    def __post_init__(self) -> None:
        if self.reweight_neighbours == 1:
            raise ValueError("reweight_neighbours is 1, which makes every score 0; it is 0 or more")


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """Which nearest-neighbour search the artifact carries and why; HNSW numbers are 0 for exact.

    Attributes:
        kind: ``exact`` (matrix product over ``bank.npy``), ``hnsw`` (``index.hnsw``, candidates
            re-measured against ``bank.npy``) or ``graph`` (exact, a second output of the graph).
        rows: bank rows.
        code_dimension: principal axes that the index's codes keep, see `search.codes`.
        links: HNSW's M.
        ef_construction: HNSW's build breadth.
        ef_search: HNSW's search breadth; hnswlib forgets it on loading, so it is kept here.
        candidates: rows per patch that the index proposes.
        rounds: how often each patch tries what the patches around it have found.
        reason: one sentence with the measurement that decided.
    """

    kind: Literal["exact", "hnsw", "graph"]
    rows: _Rows
    code_dimension: Annotated[int, Between(0, 65_536)]
    links: Annotated[int, Between(0, 256)]
    ef_construction: Annotated[int, Between(0, 10_000)]
    ef_search: Annotated[int, Between(0, 10_000)]
    candidates: Annotated[int, Between(0, 10_000)]
    rounds: Annotated[int, Between(0, 100)]
    reason: _Text

    def __post_init__(self) -> None:
        least = min(
            self.code_dimension, self.links, self.ef_construction, self.ef_search, self.candidates
        )
        if self.kind == "hnsw" and least < 1:
            raise ValueError("a number of hnsw is 0; all but rounds must be 1 or more")


@dataclass(frozen=True, kw_only=True)
class Member:
    """One network with its bank; an ensemble has several.

    Attributes:
        folder: where in the artifact its files are; empty: at the top.
        bank_precision: of the rows in ``bank.npy``; they are float32 once loaded.
        scale: the member's scores and maps are divided by it before the mean over the members is
            taken; 1 where there is only one.
    """

    folder: _Folder
    bank_precision: Literal["float32", "float16"]
    network: Network
    scoring: Scoring
    search: SearchSettings
    scale: _Positive

    def __post_init__(self) -> None:
        search, k = self.search, self.scoring.neighbours
        most = max(k, self.scoring.reweight_neighbours)
        if most > search.rows or (search.kind == "hnsw" and k > search.ef_search):
            raise ValueError(
                f"asks for {most} neighbours of a bank of {search.rows} rows searched with ef "
                f"{search.ef_search}"
            )

    def file(self, name: str) -> str:
        """The name that the manifest lists one of its files by."""
        return f"{self.folder}/{name}" if self.folder else name


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Where the threshold comes from; see ``edge_ad.fitting.calibrate`` for the mathematics.

    Attributes:
        method: ``split-conformal``, or ``given``: somebody chose the threshold.
        threshold: an image is anomalous if its score is larger. A raw distance; for an ensemble,
            in units of what good images typically score.
        false_reject_rate: expected share of good parts rejected is at most this.
        requested_rate: what the user asked for; None: the smallest that the images support, or
            a given threshold.
        interval: 90% interval of the realised rate, over the draw of held-out images.
        images: number of held-out good images; 0: nothing is known of the rate.
    """

    method: Literal["split-conformal", "given"]
    threshold: Annotated[float, Between(0, 1e12)]
    false_reject_rate: _Share
    requested_rate: _Share | None
    interval: tuple[_Share, _Share]
    images: Annotated[int, Between(0, 10**9)]


@dataclass(frozen=True, kw_only=True)
class Tolerances:
    """How far a device may be from the reference in ``edge-ad verify``, stage by stage.

    ``preprocess_levels`` counts grey levels of 0-255. The others are relative: to the largest
    reference value of the array for features and map; to the score itself for score (of map and
    score, to a tenth of the threshold at least). ``distances`` is the mean difference relative to
    the mean distance: an approximate search may be far off on a few patches, but not on the one
    that decides, which the score shows. These are to the exported network; ``precision`` is that
    of scores to the float32 network, where there is a `PrecisionLoss`, and else 0.
    """

    preprocess_levels: Annotated[int, Between(0, 8)]
    features: Annotated[float, Between(0, 0.1)]
    distances: Annotated[float, Between(0, 11)]
    map: Annotated[float, Between(0, 0.1)]
    score: Annotated[float, Between(0, 0.1)]
    precision: Annotated[float, Between(0, 1000)]


@dataclass(frozen=True, kw_only=True)
class PrecisionLoss:
    """What a reduced precision cost at export, against the float32 network with its own bank.

    Attributes:
        images: held-out good images and damaged copies that it was measured on.
        features: mean difference relative to the mean magnitude.
        distances: the same of patch distances.
        score_mean: difference of image scores relative to the float32 score (which counts as a
            tenth of the threshold at least), mean over the images.
        score_worst: the same of the worst image.
        auroc_fp32: image AUROC of the float32 network on a labelled folder; None without one.
        auroc: that of the reduced one.
        accepted: whether somebody has accepted more than the tolerated loss.
    """

    images: Annotated[int, Between(1, 10**9)]
    features: Annotated[float, Between(0, 1e12)]
    distances: Annotated[float, Between(0, 1e12)]
    score_mean: Annotated[float, Between(0, 1e12)]
    score_worst: Annotated[float, Between(0, 1e12)]
    auroc_fp32: _Share | None
    auroc: _Share | None
    accepted: bool


@dataclass(frozen=True, kw_only=True)
class ReferenceImage:
    """One image that ``verify`` replays: a lossless PNG, and what was done to it."""

    file: _File
    damage: _Text


@dataclass(frozen=True, kw_only=True)
class FileEntry:
    """Size and SHA-256 of one file of the artifact."""

    size_bytes: Annotated[int, Between(0, 2**50)]
    sha256: _Sha256


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The whole of ``manifest.json``; ``runtime/README.md`` specifies every key.

    Attributes:
        engine: what the export was made for; a device uses it unless told otherwise.
        precision_loss: None for float32.
    """

    schema: int
    method: Literal["patchcore"]
    head: Literal["patch-search"]
    engine: EngineName
    preprocessing: Preprocessing
    members: Annotated[tuple[Member, ...], AtMost(_MOST_MEMBERS)]
    calibration: Calibration
    tolerances: Tolerances
    precision_loss: PrecisionLoss | None
    reference: Annotated[tuple[ReferenceImage, ...], AtMost(_MOST_REFERENCES)]
    versions: Annotated[dict[_Text, _Text], AtMost(100)]
    files: Annotated[dict[_File, FileEntry], AtMost(_MOST_FILES)]
    sha256: Annotated[str, Matching("([0-9a-f]{64})?", "a SHA-256")] = ""

    def __post_init__(self) -> None:
        if not self.members:
            raise ValueError("members: expected at least one, found []")
        folders = [member.folder for member in self.members]
        if len(set(folders)) != len(folders):
            raise ValueError(f"members: expected a folder for each, found {folders}")

    def sealed(self) -> Manifest:
        """The same manifest with ``sha256`` filled in."""
        blank = strict.dumps(replace(self, sha256=""))
        return replace(self, sha256=hashlib.sha256(blank.encode()).hexdigest())

    def to_text(self) -> str:
        """The exact content of ``manifest.json``."""
        return strict.dumps(self) + "\n"


def read_manifest(folder: Path) -> Manifest:
    """Read and check ``folder/manifest.json``.

    Raises:
        ArtifactError: missing, not JSON, newer schema, unknown or missing key (named), or
            changed after it was written.
    """
    path = folder / FILE_NAME
    text = _read_text(folder, path)
    try:
        raw = strict.loads(text)
        _check_schema(raw, path)
        manifest = strict.parse(Manifest, raw)
    except ValueError as exc:
        raise ArtifactError(f"{exc}; export again", path=path) from exc
    if text != manifest.to_text() or manifest.sha256 != manifest.sealed().sha256:
        raise ArtifactError(
            "changed after export (its SHA-256 does not match); copy the artifact again", path=path
        )
    return manifest


def _read_text(folder: Path, path: Path) -> str:
    try:
        # not as text, which would forgive line ends that were changed
        return read_regular(path, most_bytes=_MOST_BYTES).decode("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        if not folder.is_dir():
            raise ArtifactError(
                "no such folder; an artifact is a folder named *.edgead", path=folder
            ) from None
        raise ArtifactError(
            f"holds no {FILE_NAME}; not an edge_ad artifact, or not copied whole", path=folder
        ) from None
    except UnicodeDecodeError as exc:
        raise ArtifactError(f"cannot be read: {exc}; copy the artifact again", path=path) from exc
    except OSError as exc:
        raise ArtifactError(f"cannot be read: {exc.strerror}", path=path) from exc


def _check_schema(raw: object, path: Path) -> None:
    found = raw.get("schema") if isinstance(raw, dict) else None
    if type(found) is not int:
        raise ValueError("no whole number under the key 'schema'")
    if found > SCHEMA:
        raise ArtifactError(
            f"has schema {found}, this runtime reads up to {SCHEMA}; upgrade edge-ad-runtime",
            path=path,
        )
    if found < SCHEMA:
        raise ValueError(f"schema {found} is not known; this runtime reads {SCHEMA}")
