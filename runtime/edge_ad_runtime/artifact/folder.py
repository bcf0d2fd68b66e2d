"""An artifact folder on disk: the bytes that were hashed are the bytes that are used.

Each file is read once, hashed, and handed out as it was hashed. Arrays of which an image needs a
few slices alone stay in their files, see `edge_ad_runtime.artifact.stored`. What happens to the
folder afterwards (another export copied over it, a memory card pulled out) cannot change a score of
a detector that is loaded.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.artifact.graph_check import check_graph
from edge_ad_runtime.artifact.manifest import read_manifest
from edge_ad_runtime.artifact.npy import Shaped, parse_npy
from edge_ad_runtime.artifact.schema import FileEntry, Manifest
from edge_ad_runtime.artifact.stored import HashedFile, StoredSlices
from edge_ad_runtime.artifact.unpacked import unpacked
from edge_ad_runtime.errors import ArtifactError
from edge_ad_runtime.images import RGBImage, decode_image
from edge_ad_runtime.regular_file import hash_regular, open_regular, read_hashed

GRAPH = "network.onnx"
PLANS = "engines"
REFERENCE_VALUES = "reference/values.npz"


def hash_file(path: Path, *, most_bytes: int = 1 << 62) -> FileEntry:
    """Read a file and give its size and SHA-256.

    Raises:
        OSError: see `hash_regular`.
    """
    size_bytes, sha256 = hash_regular(path, most_bytes=most_bytes)
    return FileEntry(size_bytes=size_bytes, sha256=sha256)


@dataclass(frozen=True)
class Artifact:
    """A folder whose manifest has been read.

    The content of a file is handed out only after its hash has been found to agree.

    Attributes:
        folder: the path of the folder.
        manifest: the manifest in it.
        plans: the folder of the plans compiled from this artifact. It lies in the artifact's
            folder, but is no part of the artifact.
    """

    folder: Path
    manifest: Manifest
    plans: Path

    @classmethod
    def open(cls, path: Path | str) -> Artifact:
        """Read the manifest.

        Args:
            path: the folder ``NAME.edgead``, or the archive that ``edge-ad pack`` makes of one. An
                archive is unpacked into a cache first, see `edge_ad_runtime.artifact.unpacked`.

        Raises:
            ArtifactError: see `read_manifest` and `unpacked`.
        """
        path = Path(path)
        folder = unpacked(path) if path.is_file() else path
        return cls(folder, read_manifest(folder), folder / PLANS)

    def read(self, name: str) -> NDArray[np.uint8]:
        """The verified content of a file that the manifest lists, ``(n,)`` uint8, read-only.

        Raises:
            ArtifactError: the file is not listed or missing, or has another size or SHA-256.
        """
        path, expected = self._listed(name)
        try:
            content, digest = read_hashed(path, most_bytes=expected.size_bytes)
        except OSError as exc:
            raise _unreadable(path, expected, exc) from exc
        _check(path, FileEntry(size_bytes=len(content), sha256=digest), expected)
        return content

    def array(self, name: str, expected: Shaped) -> NDArray[np.generic]:
        """The array in a verified ``.npy`` file, read-only.

        Raises:
            ArtifactError: as in `read`, or the dtype or the shape is not the expected one.
        """
        try:
            return parse_npy(self.read(name), expected)
        except ValueError as exc:
            raise ArtifactError(str(exc), path=self.folder / name) from exc

    def slices(self, name: str, expected: Shaped) -> StoredSlices:
        """The array in a verified ``.npy`` file that stays open, to be read slice by slice.

        Raises:
            ArtifactError: as in `array`.
        """
        path, entry = self._listed(name)
        try:
            with open_regular(path, most_bytes=entry.size_bytes) as (file, _):
                hashed = HashedFile(os.dup(file.fileno()), path)
        except OSError as exc:
            raise _unreadable(path, entry, exc) from exc
        try:
            _check(path, hashed.entry, entry)
            return StoredSlices(hashed, expected)
        except ValueError as exc:
            hashed.close()
            raise ArtifactError(str(exc), path=path) from exc
        except ArtifactError:
            hashed.close()
            raise

    def graph(self, name: str, data: str | None = None) -> bytes | Path:
        """A verified ONNX graph that an engine may run.

        Args:
            name: the name of the graph's file.
            data: the name of the file with the graph's large tensors, or None if there is none.

        Returns:
            The graph's bytes, or its path if it has data in another file.

        Raises:
            ArtifactError: as in `read`, or the graph could run for ever or read other files.
        """
        content = self.read(name).tobytes()
        try:
            check_graph(content, data=None if data is None else Path(data).name)
        except ValueError as exc:
            raise ArtifactError(f"{exc}; export again", path=self.folder / name) from exc
        if data is None:
            return content
        self.file(data)
        return self.folder / name

    def image(self, name: str) -> RGBImage:
        """A verified image file, decoded in the same way as the camera's images.

        Raises:
            ArtifactError: see `read`.
            ImageError: it cannot be decoded.
        """
        return decode_image(self.read(name).tobytes(), path=self.folder / name)

    def file(self, name: str) -> Path:
        """The path of a file whose content is verified now.

        The file may change afterwards, so whoever wants to use its content calls `read`.

        Raises:
            ArtifactError: see `read`.
        """
        path, expected = self._listed(name)
        try:
            found = hash_file(path, most_bytes=expected.size_bytes)
        except OSError as exc:
            raise _unreadable(path, expected, exc) from exc
        _check(path, found, expected)
        return path

    def check_all(self) -> int:
        """Verify every file that the manifest lists.

        Returns:
            The bytes of all these files together.

        Raises:
            ArtifactError: see `read`.
        """
        for name in self.manifest.files:
            self.file(name)
        return sum(entry.size_bytes for entry in self.manifest.files.values())

    def missing(self) -> list[str]:
        """The names of files that the manifest lists but that are missing or of another size."""

        def is_there(name: str, size_bytes: int) -> bool:
            path = self.folder / name
            try:
                return path.is_file() and path.stat().st_size == size_bytes
            except OSError:
                return False

        files = self.manifest.files.items()
        return [name for name, entry in files if not is_there(name, entry.size_bytes)]

    def _listed(self, name: str) -> tuple[Path, FileEntry]:
        expected = self.manifest.files.get(name)
        if expected is None:
            raise ArtifactError(f"the manifest lists no {name}; export again", path=self.folder)
        return self.folder / name, expected


def _unreadable(path: Path, expected: FileEntry, error: OSError) -> ArtifactError:
    if isinstance(error, FileNotFoundError):
        return ArtifactError("missing; copy the artifact again", path=path)
    if error.errno == errno.EFBIG:
        return ArtifactError(
            f"{error.strerror}: the manifest says {expected.size_bytes} bytes; damaged or from "
            "another export, copy the artifact again",
            path=path,
        )
    return ArtifactError(f"cannot be read: {error.strerror}", path=path)


def _check(path: Path, found: FileEntry, expected: FileEntry) -> None:
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
