"""The cache of unpacked archives: an artifact in one file becomes a folder once on each machine.

Its key is the archive's SHA-256, which is taken each time: an archive that was changed or cut short
is never mistaken for the one that was unpacked before. What ``edge-ad tune`` and ``edge-ad
compile`` write lies in the unpacked folder, and stays as long as it does.

The cache is ``$EDGE_AD_CACHE``, or else ``edge_ad`` in ``$XDG_CACHE_HOME`` or ``~/.cache``. It
holds the eight archives that were used last. Whatever lies in it is verified when it is loaded,
like any other artifact.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from edge_ad_runtime.artifact.atomic import scratch_folder
from edge_ad_runtime.artifact.manifest import read_manifest
from edge_ad_runtime.artifact.packed import MOST_ARCHIVE_BYTES, SUFFIX, unpack
from edge_ad_runtime.errors import ArtifactError, EdgeADError, ExportError
from edge_ad_runtime.regular_file import hash_regular

MOST_UNPACKED = 8

_ELSEWHERE = (
    "set EDGE_AD_CACHE to a folder that can be written and has room, or unpack the archive with "
    "unzip and give its folder"
)


def unpacked(packed: Path) -> Path:
    """The folder of the artifact in an archive, which is unpacked unless it is in the cache.

    Raises:
        ArtifactError: the archive is damaged or not one of an artifact, or the cache cannot be
            written. The message says how to give another place.
    """
    digest = _digest(packed)
    kept = _cache(packed) / digest
    folder = kept / packed.name.removesuffix(SUFFIX)
    if not _is_whole(folder):
        _unpack_into(kept, packed, digest)
    with suppress(OSError):
        os.utime(kept)  # it was used last
    _remove_oldest(kept)
    return folder


def _cache(packed: Path) -> Path:
    if own := os.environ.get("EDGE_AD_CACHE"):
        return Path(own)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edge_ad"
    except RuntimeError as exc:  # a service's user may have no home
        raise ArtifactError(f"cannot be unpacked: {exc}; {_ELSEWHERE}", path=packed) from exc


def _digest(packed: Path) -> str:
    try:
        return hash_regular(packed, most_bytes=MOST_ARCHIVE_BYTES)[1]
    except OSError as exc:
        raise ArtifactError(f"cannot be read: {exc.strerror}", path=packed) from exc


def _is_whole(folder: Path) -> bool:
    """Whether an artifact is there, all files of which have their size."""
    try:
        files = read_manifest(folder).files
        return all((folder / name).stat().st_size == files[name].size_bytes for name in files)
    except (ArtifactError, OSError):
        return False


def _unpack_into(kept: Path, packed: Path, digest: str) -> None:
    try:
        with scratch_folder(kept) as scratch:
            folder = unpack(packed, scratch)
            if _digest(packed) != digest:
                raise ArtifactError("changed while it was read; try again", path=packed)
            kept.mkdir(exist_ok=True)
            shutil.rmtree(kept / folder.name, ignore_errors=True)  # damaged, if it is there
            with suppress(OSError):  # another process was faster, and its folder is the same
                folder.rename(kept / folder.name)
    except (OSError, ExportError) as exc:
        reason = exc if isinstance(exc, EdgeADError) else exc.strerror or exc
        raise ArtifactError(
            f"cannot be unpacked into {kept.parent}: {reason}; {_ELSEWHERE}", path=packed
        ) from exc


def _remove_oldest(kept: Path) -> None:
    """Remove what was not used for longest. A detector that has loaded it needs it no more."""
    with suppress(OSError):
        others = [path for path in kept.parent.iterdir() if path.is_dir() and path != kept]
        whole = [path for path in others if not path.name.startswith(".")]
        whole.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        for old in whole[MOST_UNPACKED - 1 :]:
            shutil.rmtree(old, ignore_errors=True)
