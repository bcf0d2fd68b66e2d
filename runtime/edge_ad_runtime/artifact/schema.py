"""The records of schema 4: what ``manifest.json`` says of an artifact.

``runtime/README.md`` specifies every key for those who write a reader of their own.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Annotated, Literal

from edge_ad_runtime.artifact import strict
from edge_ad_runtime.artifact.a_contrario_records import AContrarioRecord
from edge_ad_runtime.artifact.calibration_records import Calibration
from edge_ad_runtime.artifact.head_records import HeadRecord
from edge_ad_runtime.artifact.strict import AtMost, Between, Matching
from edge_ad_runtime.artifact.words import (
    EngineName,
    FileName,
    FolderName,
    Fraction,
    Name,
    NotNegative,
    Positive,
    Precision,
    QuantisedFor,
    Sha256,
    Side,
    Text,
)
from edge_ad_runtime.images.preprocess import Preprocessing

SCHEMA = 4

_MOST_MEMBERS = 16
_MOST_OUTPUTS = 16
_MOST_REFERENCES = 1000
_MOST_FILES = 2000  # each member has some, and so have the reference images and their values

Axes = Annotated[tuple[Side, ...], AtMost(8)]


@dataclass(frozen=True, kw_only=True)
class FileEntry:
    """The size and the SHA-256 of one file of the artifact."""

    size_bytes: Annotated[int, Between(0, 2**50)]
    sha256: Sha256


@dataclass(frozen=True, kw_only=True)
class Output:
    """One output of a network.

    Attributes:
        shape: the shape of one image's value, without the batch's axis. It is empty for a number.
        dtype: the type of the numbers in it.
    """

    shape: Axes
    dtype: Literal["float32", "int64"]


@dataclass(frozen=True, kw_only=True)
class NetworkRecord:
    """One network: an ONNX graph from images to named outputs.

    Attributes:
        file: the name of the graph's file in the member's folder.
        data: the file beside it that its large tensors are in (ONNX's external data). None means
            that all tensors are in the graph.
        precision: the type of numbers that the middle of the network computes in. Engines must be
            told.
        outputs: the outputs by name. What they mean is the head's to say.
        origin: where the network comes from, for people: method, backbone, weights and so on. The
            runtime never acts on it.
        quantised_for: the processors on which an int8 graph gives its exported values. It is None
            for other precisions, and for int8 graphs that were exported before this was stated.
    """

    file: FileName
    data: FileName | None = strict.optional()
    precision: Precision
    outputs: Annotated[dict[Name, Output], AtMost(_MOST_OUTPUTS)]
    origin: Annotated[dict[Name, Text], AtMost(100)]
    quantised_for: QuantisedFor | None = strict.optional()


@dataclass(frozen=True, kw_only=True)
class Member:
    """One network with its head. An ensemble has several members.

    Attributes:
        folder: the folder in the artifact that its files are in. It is empty where they are at the
            top.
        scale: the member's scores and maps are divided by it before the mean over the members is
            taken. It is 1 where there is only one.
    """

    folder: FolderName
    scale: Positive
    network: NetworkRecord
    head: HeadRecord

    def file(self, name: str) -> str:
        """The name under which the manifest lists one of the member's files."""
        return f"{self.folder}/{name}" if self.folder else name


@dataclass(frozen=True, kw_only=True)
class PrecisionLoss:
    """What a reduced precision cost at export, against the float32 network and what it learned.

    Attributes:
        images: the number of held-out good images and damaged copies that it was measured on.
        stages: for each stage of the head before the map, the mean difference relative to the mean
            magnitude.
        score_mean: the difference of an image's score relative to its float32 score, as a mean over
            the images. The float32 score counts as a tenth of the threshold at least.
        score_worst: the same difference for the worst image.
        auroc_fp32: the image AUROC of the float32 network on a labelled folder, or None if there
            was no such folder.
        auroc: the image AUROC of the network of reduced precision.
        accepted: whether somebody has accepted more than the tolerated loss.
    """

    images: Annotated[int, Between(1, 10**9)]
    stages: Annotated[dict[Name, NotNegative], AtMost(100)]
    score_mean: NotNegative
    score_worst: NotNegative
    auroc_fp32: Fraction | None
    auroc: Fraction | None
    accepted: bool


@dataclass(frozen=True, kw_only=True)
class ReferenceImage:
    """One image that ``verify`` replays: a lossless PNG, with a word on what was done to it."""

    file: FileName
    damage: Text


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The whole of ``manifest.json``.

    Attributes:
        schema: 4, or the older schema that the artifact was written in.
        engine: the engine that the export was made for. A device uses it unless told otherwise.
        preprocessing: how images are brought to the networks' input size.
        members: the networks with their heads.
        calibration: the threshold, and what it is worth.
        tolerances: how far a device may be from the reference in ``edge-ad verify``. The key
            ``preprocess`` is in grey levels of 0-255. Each stage of the heads has a relative
            tolerance under its name, see `edge_ad_runtime.heads.Stage`. Where there is a
            `PrecisionLoss`, ``precision`` says how far scores may be from those of the float32
            network.
        precision_loss: what the reduced precision cost. It is None for float32.
        reference: the images that ``verify`` replays.
        versions: the versions of the software that made the artifact.
        files: every file of the artifact but this one.
        sha256: the SHA-256 of this very text with this key empty.
    """

    schema: int
    engine: EngineName
    preprocessing: Preprocessing
    members: Annotated[tuple[Member, ...], AtMost(_MOST_MEMBERS)]
    calibration: Calibration
    tolerances: Annotated[dict[Name, Annotated[float, Between(0, 1000)]], AtMost(100)]
    precision_loss: PrecisionLoss | None
    reference: Annotated[tuple[ReferenceImage, ...], AtMost(_MOST_REFERENCES)]
    versions: Annotated[dict[Text, Text], AtMost(100)]
    files: Annotated[dict[FileName, FileEntry], AtMost(_MOST_FILES)]
    sha256: Annotated[str, Matching("([0-9a-f]{64})?", "a SHA-256")] = ""

    def __post_init__(self) -> None:
        if not self.members:
            raise ValueError("members: expected at least one, found []")
        folders = [member.folder for member in self.members]
        if len(set(folders)) != len(folders):
            raise ValueError(f"members: expected a folder for each, found {folders}")
        in_decades = [isinstance(member.head, AContrarioRecord) for member in self.members]
        if any(in_decades) and len(in_decades) > 1:
            raise ValueError("members: scores that are logarithms cannot be of an ensemble")
        if self.calibration.threshold < 0 and not any(in_decades):
            raise ValueError(
                "calibration.threshold: expected 0 or more, as scores are distances, "
                f"found {self.calibration.threshold:g}"
            )
        if self.schema >= SCHEMA and self.calibration.images and not self.calibration.scores:
            raise ValueError(
                "calibration.scores: expected those of the images that set the threshold, "
                f"as calibration.images is {self.calibration.images}, found []"
            )

    def sealed(self) -> Manifest:
        """The same manifest with ``sha256`` filled in."""
        return replace(self, sha256=seal(replace(self, sha256="")))

    def to_text(self) -> str:
        """The exact content of ``manifest.json``."""
        return strict.dumps(self) + "\n"


def seal(blank: object) -> str:
    """The SHA-256 of a manifest whose ``sha256`` is empty, as it is written."""
    return hashlib.sha256(strict.dumps(blank).encode()).hexdigest()
