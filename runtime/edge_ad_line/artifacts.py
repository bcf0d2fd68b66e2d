"""The artifacts of a line: kept under their hash, never changed, and one pointer for each part.

The line never runs an artifact where somebody else may write. It copies the files, checks each as
it is copied, and gives the copy the name of the hash in its manifest. Which one judges a part is
one small file that is replaced in one step, so that a power cut leaves the old or the new.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from edge_ad_runtime.artifact import strict
from edge_ad_runtime.artifact.atomic import ARTIFACT, atomic_folder, scratch_folder, write_file
from edge_ad_runtime.artifact.folder import PLANS, Artifact
from edge_ad_runtime.artifact.manifest import FILE_NAME
from edge_ad_runtime.artifact.packed import unpack
from edge_ad_runtime.artifact.strict import AtMost
from edge_ad_runtime.artifact.words import Sha256
from edge_ad_runtime.device.settings import FILE_NAME as DEVICE_SETTINGS
from edge_ad_runtime.errors import ArtifactError, ConfigError
from edge_ad_runtime.regular_file import read_regular

_MOST_BYTES = 100_000
_REMEMBERED = 5  # artifacts before the live one


@dataclass(frozen=True, kw_only=True)
class Pointer:
    """Which artifact judges a part.

    Attributes:
        live: the SHA-256 in its manifest.
        before: those that were live before, the last one last.
        configured: the one that the settings named when they were last read. Another one there is
            a candidate. The same one is not, or a roll back would not survive a restart.
    """

    live: Sha256
    before: Annotated[tuple[Sha256, ...], AtMost(_REMEMBERED)]
    configured: Sha256 | None

    def promoted(self, sha256: str) -> Pointer:
        """The pointer when another artifact is live."""
        if sha256 == self.live:
            return self
        return replace(self, live=sha256, before=(*self.before, self.live)[-_REMEMBERED:])

    def rolled_back(self) -> Pointer:
        """The pointer when the artifact before is live again.

        Raises:
            ConfigError: there is none.
        """
        if not self.before:
            raise ConfigError("there is no artifact before the live one")
        return replace(self, live=self.before[-1], before=self.before[:-1])


class Artifacts:
    """The artifacts on one device.

    Args:
        folder: of the store.
    """

    def __init__(self, folder: Path) -> None:
        self._kept, self._pointers = folder / "artifacts", folder / "parts"

    def keep(self, source: Path | str) -> Artifact:
        """Copy an artifact under its hash. The bytes that were checked are the ones that are kept.

        Args:
            source: a folder, or an artifact in one file.

        Raises:
            ArtifactError: a file is missing or damaged, or it is no artifact.
            ExportError: the disk is full or not writable.
        """
        source = Path(source)
        if not source.is_file():
            return self._copy(Artifact.open(source))
        with scratch_folder(self._kept / "upload") as scratch:
            return self._copy(Artifact.open(unpack(source, scratch)))

    def open(self, sha256: str) -> Artifact:
        """A kept artifact.

        Raises:
            ArtifactError: it is not there, or not what its name says.
        """
        artifact = Artifact.open(self._kept / sha256)
        if artifact.manifest.sha256 != sha256:
            raise ArtifactError("is another artifact than its name says", path=artifact.folder)
        return artifact

    def pointer(self, part: str) -> Pointer | None:
        """Which artifact judges a part, or None before there is any.

        Raises:
            ConfigError: the pointer cannot be read.
        """
        path = self._pointers / f"{part}.json"
        try:
            text = read_regular(path, most_bytes=_MOST_BYTES).decode("utf-8")
            return strict.parse(Pointer, strict.loads(text))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as exc:
            raise ConfigError(
                f"{path}: cannot be read: {exc}; delete it to begin with the configured artifact"
            ) from exc

    def point(self, part: str, pointer: Pointer) -> None:
        """Replace the pointer of a part.

        Raises:
            OSError: it cannot be written. The old one is still there.
        """
        path = self._pointers / f"{part}.json"
        write_file(path, (strict.dumps(pointer) + "\n").encode())

    def forget_all_but(self, wanted: Iterable[str]) -> None:
        """Delete kept artifacts that nobody points at."""
        known = set(wanted)
        for folder in self._kept.iterdir():
            if len(folder.name) == 64 and folder.name not in known:
                shutil.rmtree(folder, ignore_errors=True)

    def _copy(self, source: Artifact) -> Artifact:
        source.check_all()  # half a copy of what is kept already is refused too
        out = self._kept / source.manifest.sha256
        if out.exists():
            try:
                kept = self.open(out.name)
                kept.check_all()
                return kept
            except ArtifactError:
                shutil.rmtree(out, ignore_errors=True)
        with atomic_folder(out, overwrite=False, kind=ARTIFACT) as partial:
            for name in source.manifest.files:
                path = partial / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(source.read(name).data)
            shutil.copyfile(source.folder / FILE_NAME, partial / FILE_NAME)
            _copy_what_lies_beside(source.folder, partial)
        return self.open(out.name)


def _copy_what_lies_beside(source: Path, target: Path) -> None:
    """Plans and what ``edge-ad tune`` found. Their readers check them as they check any file."""
    if (source / DEVICE_SETTINGS).is_file():
        shutil.copyfile(source / DEVICE_SETTINGS, target / DEVICE_SETTINGS)
    if (source / PLANS).is_dir():
        shutil.copytree(source / PLANS, target / PLANS, symlinks=False)
