"""Features of a huge number of images, some hundred at a time, on disk and in any order.

A task writes the features of its images, and their random projection, into a folder that all
machines reach. Beside each array is a record with its SHA-256 and a key, which says what it was
made from. The record comes last, under its final name, so what is half written does not count. A
task whose records fit is not done again: that is how an interrupted run goes on.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from edge_ad.features.projection import project
from edge_ad.features.whitening import WhitenedRows, Whitening
from edge_ad.images.named import preprocessed, read_named
from edge_ad.networks.run import Run
from edge_ad_runtime.artifact import strict
from edge_ad_runtime.artifact.folder import hash_file
from edge_ad_runtime.errors import ArtifactError, FitError, ImageError
from edge_ad_runtime.heads.patch_search import FEATURES
from edge_ad_runtime.images.preprocess import Preprocessing

TASK_IMAGES = 128
_BATCH = 8  # as where all is done at once, so that the numbers are the same

Record = TypeVar("Record")


@dataclass(frozen=True, kw_only=True)
class TaskImage:
    """One image whose features were written."""

    name: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class FeatureRecord:
    """What a task has written.

    Attributes:
        key: the SHA-256 of what the features depend on, images' contents excepted.
        sha256: the SHA-256 of the array, ``(images * rows * cols, D)`` float32.
        grid: the rows and columns of an image's features.
        dimension: D.
        images: the images, in order.
        unreadable: why the others have no features, a line each.
    """

    key: str
    sha256: str
    grid: tuple[int, int]
    dimension: int
    images: tuple[TaskImage, ...]
    unreadable: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ProjectedRecord:
    """The projected rows of a task: the SHA-256 of what they depend on, and of the array."""

    key: str
    sha256: str


@dataclass(frozen=True)
class TaskFolder:
    """The files of tasks, by their numbers."""

    path: Path

    def features(self, number: int) -> Path:
        """The features of a task."""
        return self.path / f"{number:06}.features.npy"

    def projected(self, number: int) -> Path:
        """The projected rows of a task."""
        return self.path / f"{number:06}.projected.npy"


@dataclass(frozen=True, kw_only=True)
class FeatureTask:
    """What a machine needs to compute features.

    Attributes:
        run: the network.
        preprocessing: how images are brought to its input size.
        folder: where the files go.
        network_key: the SHA-256 of the network's weights and settings.
    """

    run: Run
    preprocessing: Preprocessing
    folder: TaskFolder
    network_key: str

    def __call__(self, item: tuple[int, Sequence[str]]) -> FeatureRecord:
        """Write the features of the images of these names, unless they are there.

        Args:
            item: the number of the task, and the names.
        """
        number, names = item
        path = self.folder.features(number)
        key = digest(self.network_key, repr(self.preprocessing), *names)
        return there(FeatureRecord, path, key) or self._make(path, key, names)

    def _make(self, path: Path, key: str, names: Sequence[str]) -> FeatureRecord:
        pixels: list[NDArray[np.uint8]] = []
        images, unreadable = looked_at(
            names, lambda name, data: pixels.append(preprocessed(name, data, self.preprocessing))
        )
        features = self._features(pixels)
        _, rows, cols, dimension = features.shape
        write_array(path, features.reshape(-1, dimension))
        record = FeatureRecord(
            key=key,
            sha256=hash_file(path).sha256,
            grid=(rows, cols),
            dimension=dimension,
            images=images,
            unreadable=unreadable,
        )
        write_record(path, record)
        return record

    def _features(self, pixels: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
        if not pixels:  # the shape is still to be known
            blank = np.zeros((1, *self.preprocessing.size, 3), np.uint8)
            return np.asarray(self.run(blank)[FEATURES][:0])
        parts = range(0, len(pixels), _BATCH)
        return np.concatenate([self.run(np.stack(pixels[i : i + _BATCH]))[FEATURES] for i in parts])


def looked_at(
    names: Sequence[str], look: Callable[[str, bytes], object]
) -> tuple[tuple[TaskImage, ...], tuple[str, ...]]:
    """The images that can be read, in order, and why the others cannot, a line each.

    Args:
        names: of the images.
        look: called with the name and the bytes of each. It raises ImageError if they are no image.
    """
    images, unreadable = [], []
    for name in names:
        try:
            data = read_named(name)
            look(name, data)
            images.append(TaskImage(name=name, sha256=hashlib.sha256(data).hexdigest()))
        except ImageError as exc:
            unreadable.append(str(exc))
    return tuple(images), tuple(unreadable)


@dataclass(frozen=True, kw_only=True)
class ProjectionTask:
    """What a machine needs to project the features of tasks.

    Attributes:
        folder: where the files are.
        onto: ``(D, d*)``, or None where nothing is projected.
        whitening: what comes before.
    """

    folder: TaskFolder
    onto: Tensor | None
    whitening: Whitening | None

    def __call__(self, item: tuple[int, FeatureRecord]) -> ProjectedRecord:
        """Write the projected rows of a task, unless they are there.

        Args:
            item: the number of the task, and what it has written.

        Raises:
            ArtifactError: the features have changed since.
        """
        number, record = item
        path = self.folder.projected(number)
        tensors = [] if self.onto is None else [self.onto]
        tensors += [] if self.whitening is None else list(self.whitening.state_dict().values())
        key = digest(
            record.sha256, *(hashlib.sha256(t.numpy().tobytes()).hexdigest() for t in tensors)
        )
        if (found := there(ProjectedRecord, path, key)) is not None:
            return found
        features = checked(self.folder.features(number), record.sha256)
        rows = project(WhitenedRows(features, self.whitening), self.onto)
        write_array(path, rows.numpy())
        made = ProjectedRecord(key=key, sha256=hash_file(path).sha256)
        write_record(path, made)
        return made


def checked(path: Path, sha256: str) -> NDArray[np.float32]:
    """A memory-mapped array whose content is what its record says.

    Raises:
        ArtifactError: it is not.
    """
    if hash_file(path).sha256 != sha256:
        raise ArtifactError("its SHA-256 is not that of its record; delete it", path=path)
    array: NDArray[np.float32] = np.load(path, mmap_mode="r")
    return array


def digest(*parts: str) -> str:
    """The SHA-256 of some texts."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def there(kind: Callable[..., Record], array: Path, key: str) -> Record | None:
    """The record of an array, if both are there and whole and of this key."""
    try:
        text = _record_of(array).read_text(encoding="utf-8")
        record: Any = strict.parse(kind, strict.loads(text))  # type: ignore[arg-type]
        if record.key == key and hash_file(array).sha256 == record.sha256:
            return record  # type: ignore[no-any-return]
    except (OSError, ValueError):
        pass
    return None


def write_array(path: Path, array: NDArray[np.float32]) -> None:
    """Write an array, atomically."""
    _write(path, lambda file: np.save(file, array, allow_pickle=False))


def write_record(array: Path, record: object) -> None:
    """Write the record of an array, atomically."""
    text = strict.dumps(record) + "\n"
    _write(_record_of(array), lambda file: file.write(text.encode()))


def remove_leftovers(folder: TaskFolder) -> None:
    """Remove what workers that died have left half written."""
    for partial_file in folder.path.glob(".*.partial-*"):
        partial_file.unlink(missing_ok=True)


def _write(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write under a name of this process alone: a task that was given up for lost may still run."""
    partial_file = path.with_name(f".{path.name}.partial-{secrets.token_hex(8)}")
    try:
        with partial_file.open("xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        partial_file.replace(path)
    except OSError as exc:
        partial_file.unlink(missing_ok=True)
        raise FitError(f"{path}: cannot be written: {exc.strerror or exc}") from exc


def _record_of(array: Path) -> Path:
    return array.with_suffix(".json")
