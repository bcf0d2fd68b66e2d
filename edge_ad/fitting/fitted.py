"""`FittedDetector`: all that fitting learned, and its folder of safetensors and JSON.

    fit.json                  settings, calibration, images with their SHA-256, versions
    backbone.safetensors      the network's tensors, as far as they are used; the whitening's
    bank.safetensors          ``features`` (n, D) and, for equation 7, ``neighbours`` (n, b)
    held_out.safetensors      ``preprocessed`` (k, H, W, 3) and ``original.0``, ``original.1`` ...

The same images, settings and seed give the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from safetensors.torch import save_file as save_torch_file
from torch import Tensor

from edge_ad.features.isolation import IsolatedPatch
from edge_ad.methods.patchcore.bank import Bank
from edge_ad.methods.patchcore.settings import PatchCoreConfig
from edge_ad_runtime.artifact import strict
from edge_ad_runtime.artifact.atomic import FolderKind, atomic_folder
from edge_ad_runtime.artifact.manifest import Calibration
from edge_ad_runtime.errors import ArtifactError, ConfigError, ShapeError
from edge_ad_runtime.images import RGBImage
from edge_ad_runtime.regular_file import read_regular

FIT = FolderKind(
    name="a fit", marker="fit.json", keys=frozenset({"schema", "config", "weights_sha256"})
)
SCHEMA = 1

_MOST_RECORD_BYTES = 1 << 30  # it names every image


@dataclass(frozen=True, kw_only=True)
class FitImage:
    """One good image: where it was, what it was, and on which side of the hold-out.

    Attributes:
        path: as given to `fit`.
        sha256: of the file.
        held_out_score: image score, for those held out of the bank; None for those in it.
    """

    path: str
    sha256: str
    held_out_score: float | None


@dataclass(frozen=True, kw_only=True)
class FitRecord:
    """The content of ``fit.json``; without a calibration if no image was held out."""

    schema: int
    config: PatchCoreConfig
    grid: tuple[int, int]
    dimension: int
    weights_sha256: str
    calibration: Calibration | None
    images: tuple[FitImage, ...]
    isolated: tuple[IsolatedPatch, ...]
    versions: dict[str, str]


@dataclass(frozen=True, kw_only=True, eq=False)
class FittedDetector:
    """A fitted PatchCore.

    Attributes:
        record: settings and provenance.
        backbone: the backbone's tensors by torchvision's names, and the whitening's.
        bank: the memory bank M_C.
        held_out: ``(k, H, W, 3)`` uint8 preprocessed held-out images, to test exports with (if
            none were, images of the bank).
        originals: a few of them as the camera gave them, ``(H, W, 3)`` uint8 of any size.
    """

    record: FitRecord
    backbone: dict[str, Tensor]
    bank: Bank
    held_out: NDArray[np.uint8]
    originals: tuple[RGBImage, ...]

    @property
    def config(self) -> PatchCoreConfig:
        """The settings it was fitted with."""
        return self.record.config

    @property
    def calibration(self) -> Calibration:
        """The threshold and its guarantee.

        Raises:
            ConfigError: no image was held out.
        """
        if self.record.calibration is None:
            raise ConfigError(
                "no good image was held out of the bank, so there is no threshold; export with "
                "--threshold, or fit with a --holdout-fraction"
            )
        return self.record.calibration

    @property
    def held_out_scores(self) -> NDArray[np.float64]:
        """Image scores of the good images held out of the bank, ``(n,)``."""
        scores = [image.held_out_score for image in self.record.images]
        return np.array([score for score in scores if score is not None])

    def save(self, folder: Path | str, *, overwrite: bool = False) -> None:
        """Write the fit folder atomically.

        Raises:
            ConfigError: the folder exists and is none of a fit, or ``overwrite`` is false, or the
                images that were fitted are in it.
            ExportError: it cannot be written.
        """
        originals = {f"original.{i}": image for i, image in enumerate(self.originals)}
        held_out = {"preprocessed": self.held_out, **originals}
        images = [Path(image.path) for image in self.record.images]
        with atomic_folder(Path(folder), overwrite=overwrite, kind=FIT, inputs=images) as partial:
            try:
                save_torch_file(self.backbone, partial / "backbone.safetensors")
                save_file(_bank_tensors(self.bank), partial / "bank.safetensors")
                save_file(held_out, partial / "held_out.safetensors")
            except SafetensorError as exc:  # a full disk too
                raise OSError(str(exc)) from exc
            text = strict.dumps(self.record) + "\n"
            (partial / "fit.json").write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, folder: Path | str) -> FittedDetector:
        """Read a fit folder.

        Raises:
            ArtifactError: a file is missing or damaged, or the files disagree.
        """
        folder = Path(folder)
        record = _read_record(folder)
        bank = _read(folder / "bank.safetensors")
        backbone = _read(folder / "backbone.safetensors")
        held_out = _read(folder / "held_out.safetensors")
        try:
            preprocessed = held_out.pop("preprocessed")
            originals = tuple(held_out[f"original.{i}"] for i in range(len(held_out)))
            features = bank["features"]
        except KeyError as exc:
            raise ArtifactError(
                f"holds no {exc.args[0]} where it should be: damaged, or another file's content; "
                "fit again",
                path=folder,
            ) from exc
        fitted = cls(
            record=record,
            backbone={k: torch.from_numpy(v) for k, v in backbone.items()},
            bank=Bank(features=features, neighbours=bank.get("neighbours")),
            held_out=preprocessed,
            originals=originals,
        )
        shape = fitted.bank.features.shape
        if len(shape) != 2 or shape[1] != record.dimension:
            raise ShapeError(
                f"{folder}: the bank is {shape}, fit.json says dimension {record.dimension}; "
                "fit again"
            )
        return fitted


def _bank_tensors(bank: Bank) -> dict[str, NDArray[Any]]:
    tensors: dict[str, NDArray[Any]] = {"features": bank.features}
    return tensors if bank.neighbours is None else {**tensors, "neighbours": bank.neighbours}


def _read_record(folder: Path) -> FitRecord:
    path = _existing(folder / "fit.json")
    try:
        text = read_regular(path, most_bytes=_MOST_RECORD_BYTES).decode("utf-8")
        return strict.parse(FitRecord, strict.loads(text))
    except (ValueError, OSError) as exc:
        raise ArtifactError(f"{exc}; fit again", path=path) from exc


def _read(path: Path) -> dict[str, NDArray[Any]]:
    try:
        arrays: dict[str, NDArray[Any]] = load_file(_existing(path))
    except (SafetensorError, OSError) as exc:
        raise ArtifactError(f"not readable as safetensors: {exc}; fit again", path=path) from exc
    return arrays


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise ArtifactError("missing; not a fit folder, or not copied whole", path=path)
    return path
