"""`FittedDetector`: all that fitting learned, and its folder of safetensors and JSON.

    fit.json                  method, settings, calibration, images with their SHA-256, versions,
                              and the SHA-256 of the files below
    fit.toml                  the settings as they are typed, for ``edge-ad fit --config``
    network.safetensors       the network's tensors, as far as they are used
    kept.safetensors          what the method keeps, by the names of its fields. PatchCore keeps
                              ``features`` (n, D), ``neighbours`` (n, b) and ``grid`` (2,)
    held_out.safetensors      ``preprocessed`` (k, H, W, 3) and ``original.0``, ``original.1`` ...

The same images, settings and seed give the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_type_hints

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from safetensors.torch import save_file as save_torch_file
from torch import Tensor, nn

from edge_ad.features.isolation import IsolatedPatch
from edge_ad.fitting.settings_file import FILE_NAME, to_toml
from edge_ad.methods import Lowered, Method, load_method, settings_class
from edge_ad.methods.settings import FitSettings
from edge_ad_runtime.artifact import strict
from edge_ad_runtime.artifact.atomic import FolderKind, atomic_folder
from edge_ad_runtime.artifact.calibration_records import Calibration
from edge_ad_runtime.artifact.folder import hash_file
from edge_ad_runtime.artifact.head_records import Certificate
from edge_ad_runtime.errors import ArtifactError, ConfigError
from edge_ad_runtime.images import RGBImage
from edge_ad_runtime.regular_file import read_regular

FIT = FolderKind(name="a fit", marker="fit.json", keys=frozenset({"schema", "config", "images"}))
SCHEMA = 4

_FILES = ("network.safetensors", "kept.safetensors", "held_out.safetensors")

_MOST_RECORD_BYTES = 1 << 30  # it names every image


@dataclass(frozen=True, kw_only=True)
class FitImage:
    """One good image: where it was, what it was, and whether it was held out.

    Attributes:
        path: the path that `fit` was given.
        sha256: the digest of the file.
        held_out: whether the method did not learn from it.
        left_out_score: the image score by what was learned without this image. It is None where
            that is not known.
        same_part_as: the path of the first image that shows the same part, see
            `edge_ad.images.same_part`. It is None if that is this image.
    """

    path: str
    sha256: str
    held_out: bool
    left_out_score: float | None
    same_part_as: str | None = strict.optional()

    @property
    def part(self) -> str:
        """What images of the same part have in common, and those of others have not."""
        return self.same_part_as or self.path


def scores_of_parts(images: Iterable[FitImage]) -> dict[str, float]:
    """The left-out score of each part, which is the largest of its images' scores.

    A new part shows itself once. Its score is then at most the largest of what more images would
    have given, so that a threshold by these is on the careful side.
    """
    found: dict[str, float] = {}
    for image in images:
        if image.left_out_score is not None:
            found[image.part] = max(found.get(image.part, -math.inf), image.left_out_score)
    return found


@dataclass(frozen=True, kw_only=True)
class FitRecord:
    """The content of ``fit.json`` except the settings.

    Attributes:
        schema: the version of the fit folder's layout.
        method: a name of `edge_ad.methods.METHODS`.
        calibration: the threshold and what it is worth. None if no image was left out.
        images: all good images, in order.
        isolated: where to look for a part that is not good. See `edge_ad.methods.Gathered`.
        versions: the versions of what made the fit.
        certificate: how well a bank covers the patches that it was chosen from. None if the method
            keeps none, or the fit was made before this was stated.
    """

    schema: int
    method: str
    calibration: Calibration | None
    images: tuple[FitImage, ...]
    isolated: tuple[IsolatedPatch, ...]
    versions: dict[str, str]
    certificate: Certificate | None = strict.optional()


@dataclass(frozen=True, kw_only=True, eq=False)
class FittedDetector:
    """What a method has learned from good images.

    Attributes:
        config: the settings that the method was fitted with.
        record: the images, the threshold and the provenance.
        state: the network's tensors, as in its ``state_dict()``.
        kept: what good images have left behind, of the type `Method.Kept`.
        held_out: ``(k, H, W, 3)`` uint8, preprocessed held-out images to test exports with. If no
            image was held out, these are images that the method learned from.
        originals: a few of the same images as the camera gave them, ``(H, W, 3)`` uint8 of any
            size.
    """

    config: FitSettings
    record: FitRecord
    state: dict[str, Tensor]
    kept: Any
    held_out: NDArray[np.uint8]
    originals: tuple[RGBImage, ...]

    @property
    def method(self) -> Method:
        """The method that was fitted."""
        return load_method(self.record.method)

    def network(self) -> nn.Module:
        """The network, ready for inference."""
        return self.method.restore(self.config, self.state)

    def lower(self, network: nn.Module) -> Lowered:
        """What a device needs, with the network that `network` gives."""
        return self.method.lower(network, self.kept, self.config)

    @property
    def calibration(self) -> Calibration:
        """The threshold and what it is worth.

        Raises:
            ConfigError: there is no threshold.
        """
        if self.record.calibration is None:
            raise ConfigError(
                "no good image was left out of what was learned, so there is no threshold; export "
                "with --threshold, or fit more images, or with a --holdout-fraction"
            )
        return self.record.calibration

    @property
    def left_out_scores(self) -> NDArray[np.float64]:
        """The scores that set the threshold, ``(n,)``. A part that several images show has one."""
        return np.array(list(scores_of_parts(self.record.images).values()))

    def save(self, folder: Path | str, *, overwrite: bool = False) -> None:
        """Write the fit folder atomically.

        Raises:
            ConfigError: the folder exists and is no fit folder, or ``overwrite`` is false, or the
                images that were fitted are in it.
            ExportError: the folder cannot be written.
        """
        originals = {f"original.{i}": image for i, image in enumerate(self.originals)}
        held_out = {"preprocessed": self.held_out, **originals}
        images = [Path(image.path) for image in self.record.images]
        with atomic_folder(Path(folder), overwrite=overwrite, kind=FIT, inputs=images) as partial:
            try:
                network, kept, shown = (partial / name for name in _FILES)
                save_torch_file(self.state, network)
                save_file(_arrays(self.kept), kept)
                save_file(held_out, shown)
            except SafetensorError as exc:  # a full disk too
                raise OSError(str(exc)) from exc
            files = {name: hash_file(partial / name).sha256 for name in _FILES}
            content = {**_shallow(self.record), "config": self.config, "files": files}
            if self.record.certificate is None:
                del content["certificate"]
            text = strict.dumps(content) + "\n"
            (partial / FILE_NAME).write_text(to_toml(self.config), encoding="utf-8")
            (partial / "fit.json").write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, folder: Path | str) -> FittedDetector:
        """Read a fit folder.

        Raises:
            ArtifactError: a file is missing or damaged, or the files disagree.
        """
        folder = Path(folder)
        record, config, files = _read_record(folder)
        network, kept, held_out = (_read(folder / name, files.get(name)) for name in _FILES)
        preprocessed = held_out.pop("preprocessed")
        originals = tuple(held_out[f"original.{i}"] for i in range(len(held_out)))
        restored = load_method(record.method).Kept(**{**_absent(record.method), **kept})
        return cls(
            config=config,
            record=record,
            state={name: torch.from_numpy(value) for name, value in network.items()},
            kept=restored,
            held_out=preprocessed,
            originals=originals,
        )


def _shallow(record: FitRecord) -> dict[str, Any]:
    return {field.name: getattr(record, field.name) for field in fields(record)}


def _arrays(kept: Any) -> dict[str, NDArray[Any]]:
    """The arrays that a method keeps, by the names of its fields. None is left out."""
    values = {field.name: getattr(kept, field.name) for field in fields(kept)}
    return {name: value for name, value in values.items() if value is not None}


def _absent(method: str) -> dict[str, None]:
    """The fields that may be None, for a file that lacks them."""
    hints = get_type_hints(load_method(method).Kept)
    return {name: None for name, hint in hints.items() if NoneType in get_args(hint)}


def _read_record(folder: Path) -> tuple[FitRecord, Any, dict[str, str]]:
    """The record, the method's settings, and the SHA-256 of the other files."""
    path = _existing(folder / "fit.json")
    try:
        raw = strict.loads(read_regular(path, most_bytes=_MOST_RECORD_BYTES).decode("utf-8"))
        if not isinstance(raw, dict) or raw.get("schema") != SCHEMA:
            raise ValueError(f"is no fit of schema {SCHEMA}; made by another edge_ad")
        settings, files = raw.pop("config", None), raw.pop("files", None)
        if not isinstance(files, dict):
            raise ValueError("files: expected an object")
        record = strict.parse(FitRecord, raw)
        return record, strict.parse(settings_class(record.method), settings, "config"), files
    except (ValueError, OSError) as exc:
        raise ArtifactError(f"{exc}; fit again", path=path) from exc


def _read(path: Path, sha256: str | None) -> dict[str, NDArray[Any]]:
    try:
        if hash_file(_existing(path)).sha256 != sha256:
            raise ArtifactError(
                "its SHA-256 is not that of fit.json: damaged, or another fit's; fit again",
                path=path,
            )
        arrays: dict[str, NDArray[Any]] = load_file(path)
    except (SafetensorError, OSError) as exc:
        raise ArtifactError(f"not readable as safetensors: {exc}; fit again", path=path) from exc
    return arrays


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise ArtifactError("missing; not a fit folder, or not copied whole", path=path)
    return path
