"""An artifact folder on disk: every file is hashed before anything parses it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.errors import ArtifactError
from edge_ad_runtime.manifest import FileEntry, Manifest, read_manifest

GRAPH = "features.onnx"
BANK = "bank.npy"
BANK_NEIGHBOURS = "bank_neighbours.npy"
INDEX = "index.hnsw"
PROJECTION = "projection.npy"
PLANS = "engines"
REFERENCE_VALUES = "reference/values.npz"


def hash_file(path: Path) -> FileEntry:
    """Size and SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return FileEntry(size_bytes=path.stat().st_size, sha256=digest.hexdigest())


@dataclass(frozen=True)
class Artifact:
    """A folder whose manifest has been read; files are handed out only after their hash agrees.

    Attributes:
        folder: where it is.
        manifest: its manifest.
        plans: where plans compiled from it are: in the folder, but no part of the artifact.
    """

    folder: Path
    manifest: Manifest
    plans: Path

    @classmethod
    def open(cls, folder: Path | str) -> Artifact:
        """Read the manifest; raises ArtifactError, see `read_manifest`."""
        folder = Path(folder)
        return cls(folder, read_manifest(folder), folder / PLANS)

    def file(self, name: str) -> Path:
        """Path of a file that the manifest lists, verified.

        Raises:
            ArtifactError: not listed, missing, another size, or another SHA-256.
        """
        path = self.folder / name
        expected = self.manifest.files.get(name)
        if expected is None:
            raise ArtifactError(f"the manifest lists no {name}; export again", path=self.folder)
        if not path.is_file():
            raise ArtifactError("missing; copy the artifact again", path=path)
        try:
            found = hash_file(path)
        except OSError as exc:
            raise ArtifactError(f"cannot be read: {exc.strerror}", path=path) from exc
        if found.size_bytes != expected.size_bytes:
            raise ArtifactError(
                f"is {found.size_bytes} bytes, the manifest says {expected.size_bytes}; "
                "damaged or from another export, copy the artifact again",
                path=path,
            )
        if found.sha256 != expected.sha256:
            raise ArtifactError(
                "its SHA-256 is not the manifest's; damaged or from another export, "
                "copy the artifact again",
                path=path,
            )
        return path

    def check_all(self) -> int:
        """Verify every file that the manifest lists; returns their bytes."""
        for name in self.manifest.files:
            self.file(name)
        return sum(entry.size_bytes for entry in self.manifest.files.values())

    def array(
        self, name: str, dtype: type[np.generic], shape: tuple[int, ...]
    ) -> NDArray[np.generic]:
        """A verified ``.npy`` file, memory-mapped read-only.

        Raises:
            ArtifactError: see `file`; or its dtype or shape is not the expected one.
        """
        path = self.file(name)
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, OSError) as exc:
            raise ArtifactError(f"not a .npy array: {exc}", path=path) from exc
        order = "C" if array.flags.c_contiguous else "Fortran"
        if array.dtype != dtype or array.shape != shape or order != "C":
            raise ArtifactError(
                f"holds {array.dtype} of shape {array.shape} in {order} order, the manifest says "
                f"{np.dtype(dtype)} of shape {shape}, in C order; the two come from different "
                "exports",
                path=path,
            )
        return np.asarray(array)
