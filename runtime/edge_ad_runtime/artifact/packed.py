"""An artifact as one file: a ZIP archive that stores what the manifest lists, and nothing else.

Nothing is compressed, because banks and networks hardly shrink. The manifest comes last and the
archive's own directory after it, so that half a copy is never taken for a whole one. Names and
sizes are checked against the manifest before anything is written, and every file's SHA-256 before
the unpacked folder gets its name.
"""

from __future__ import annotations

import hashlib
import stat
import struct
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from edge_ad_runtime.artifact.atomic import ARTIFACT, atomic_file, atomic_folder
from edge_ad_runtime.artifact.manifest import FILE_NAME, MOST_BYTES, parse_manifest, read_manifest
from edge_ad_runtime.artifact.schema import FileEntry, Manifest
from edge_ad_runtime.errors import ArtifactError, ConfigError, ExportError
from edge_ad_runtime.regular_file import open_regular, read_regular

SUFFIX = ".zip"

_BLOCK_BYTES = 1 << 20
MOST_ARCHIVE_BYTES = 1 << 40
_MOST_DIRECTORY_BYTES = 16_000_000  # room for every name that a manifest of 4 MB can list
_END = struct.Struct("<4s4H2IH")  # the last record of a ZIP archive that has no comment
_END_64 = struct.Struct("<4sQ2H2I4Q")  # the same of one of more than 4 GB
_LOCATOR_64_BYTES = 20
_ENCRYPTED = 0x1
_AGAIN = "copy the archive again"
# what zipfile raises of an archive that is damaged, in one version of Python or another
_DAMAGED = (
    zipfile.BadZipFile, struct.error, ValueError, NotImplementedError, RuntimeError, EOFError,
    OverflowError,
)  # fmt: skip


def pack(artifact: Path, out: Path, *, overwrite: bool = False) -> None:
    """Write an artifact's folder as one archive. The same artifact gives the same bytes.

    What `edge-ad tune` and `edge-ad compile` have written beside the artifact's files stays out.

    Args:
        artifact: the folder ``NAME.edgead``.
        out: the archive, ``NAME.edgead.zip`` by convention. It is written whole or not at all.
        overwrite: whether a file of that name may be replaced.

    Raises:
        ArtifactError: a file of the artifact is missing or damaged.
        ConfigError: ``out`` exists.
        ExportError: ``out`` cannot be written.
    """
    if out.exists() and not overwrite:
        raise ConfigError(f"{out}: already exists; give another name, or --overwrite")
    manifest = read_manifest(artifact)
    try:
        with atomic_file(out) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            for name, entry in sorted(manifest.files.items()):
                _add(archive, artifact / name, name, entry)
            # an older schema's manifest is packed as it is: writing it anew would change it
            archive.writestr(
                _record(FILE_NAME), read_regular(artifact / FILE_NAME, most_bytes=MOST_BYTES)
            )
    except OSError as exc:
        raise ExportError(f"{out}: cannot be written: {exc.strerror or exc}") from exc


def unpack(packed: Path, into: Path) -> Path:
    """Write the artifact in an archive as a folder, after all of it has been checked.

    Args:
        packed: the archive, ``NAME.edgead.zip``.
        into: the folder that gets the folder ``NAME.edgead``. It is made if it is missing.

    Returns:
        The artifact's folder. It has this name only once all of it is there.

    Raises:
        ArtifactError: the archive is cut short, damaged, or not one that `pack` makes.
        ConfigError: there is such a folder already.
        ExportError: the folder cannot be written.
    """
    with _checked(packed) as (archive, manifest, text):
        folder = into / packed.name.removesuffix(SUFFIX)
        with atomic_folder(folder, overwrite=False, kind=ARTIFACT) as partial:
            for name, entry in manifest.files.items():
                _extract(archive, name, entry, partial / name, packed)
            (partial / FILE_NAME).write_bytes(text)
    return folder


def _add(archive: zipfile.ZipFile, path: Path, name: str, entry: FileEntry) -> None:
    record = _record(name)
    record.file_size = entry.size_bytes  # by which zipfile knows that 4 GB need other headers
    try:
        with open_regular(path, most_bytes=entry.size_bytes) as (file, _):
            with archive.open(record, "w") as target:
                found = _copy(file, target)
    except FileNotFoundError as exc:
        raise ArtifactError("missing; copy the artifact again", path=path) from exc
    if found != entry:
        raise ArtifactError("is not what the manifest says; copy the artifact again", path=path)


def _record(name: str) -> zipfile.ZipInfo:
    """What the archive says of a file: no time and no owner, so that equal files pack equally."""
    record = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    record.external_attr = (stat.S_IFREG | 0o644) << 16
    record.create_system = 3  # Unix, wherever it is packed
    return record


@contextmanager
def _checked(packed: Path) -> Iterator[tuple[zipfile.ZipFile, Manifest, bytes]]:
    """Open an archive all of whose names and sizes are what its manifest says."""
    with ExitStack() as opened:
        try:
            file, size_bytes = opened.enter_context(
                open_regular(packed, most_bytes=MOST_ARCHIVE_BYTES)
            )
            _check_end(file, size_bytes)
            archive = opened.enter_context(zipfile.ZipFile(file))
            text = _manifest_text(archive.infolist(), archive)
            manifest = parse_manifest(text.decode("utf-8"), packed / FILE_NAME)
            _check_records(archive.infolist(), manifest, len(text), size_bytes)
        except _DAMAGED as exc:
            raise ArtifactError(
                f"no whole artifact in one file: {exc}; {_AGAIN}", path=packed
            ) from exc
        except OSError as exc:
            raise ArtifactError(f"cannot be read: {exc.strerror or exc}", path=packed) from exc
        yield archive, manifest, text


def _check_end(file: IO[bytes], size_bytes: int) -> None:
    """Refuse half a copy, and a directory that would fill the memory, before anything is parsed."""
    if size_bytes < _END.size:
        raise ValueError(f"{size_bytes} bytes are no ZIP archive")
    file.seek(size_bytes - _END.size)
    magic, *_, directory_bytes, _, comment_bytes = _END.unpack(file.read(_END.size))
    if magic != b"PK\x05\x06" or comment_bytes:
        raise ValueError("its end is missing, as in a copy that was cut short")
    start_64 = size_bytes - _END.size - _LOCATOR_64_BYTES - _END_64.size
    if start_64 >= 0:
        file.seek(start_64)
        fields = _END_64.unpack(file.read(_END_64.size))
        if fields[0] == b"PK\x06\x06":
            directory_bytes = max(directory_bytes, fields[-2])
    if directory_bytes > _MOST_DIRECTORY_BYTES:
        raise ValueError(f"its directory has {directory_bytes:,} bytes")


def _manifest_text(records: Sequence[zipfile.ZipInfo], archive: zipfile.ZipFile) -> bytes:
    if not records or records[-1].filename != FILE_NAME:
        raise ValueError(f"its last file is not {FILE_NAME}")
    _check_record(records[-1])
    if records[-1].file_size > MOST_BYTES:
        raise ValueError(f"{FILE_NAME} has {records[-1].file_size:,} bytes")
    return archive.read(records[-1])


def _check_records(
    records: Sequence[zipfile.ZipInfo], manifest: Manifest, manifest_size: int, size_bytes: int
) -> None:
    """Refuse every file that the manifest does not list once, with this size.

    Names need no other check: those that a manifest can list cannot leave the folder.
    """
    expected: Mapping[str, int] = {
        **{name: entry.size_bytes for name, entry in manifest.files.items()},
        FILE_NAME: manifest_size,
    }
    found = [record.filename for record in records]
    for record in records:
        _check_record(record)
        if record.filename not in expected:
            raise ValueError(f"holds {record.filename!r:.80}, which the manifest does not list")
        if record.file_size != expected[record.filename]:
            raise ValueError(f"{record.filename} is not of the size that the manifest says")
    if len(set(found)) != len(found):
        raise ValueError("holds a name twice")
    if missing := sorted(expected.keys() - set(found)):
        raise ValueError(f"{missing[0]} is missing")
    if sum(expected.values()) > size_bytes:
        raise ValueError("its files are larger than itself")


def _check_record(record: zipfile.ZipInfo) -> None:
    name = f"{record.filename!r:.80}"
    if record.compress_type != zipfile.ZIP_STORED or record.compress_size != record.file_size:
        raise ValueError(f"{name} is compressed")
    if record.flag_bits & _ENCRYPTED:
        raise ValueError(f"{name} is encrypted")
    if stat.S_IFMT(record.external_attr >> 16) not in (0, stat.S_IFREG):
        raise ValueError(f"{name} is no plain file")


def _extract(
    archive: zipfile.ZipFile, name: str, entry: FileEntry, path: Path, packed: Path
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with archive.open(name) as source, path.open("xb") as target:
            found = _copy(source, target)
    except _DAMAGED as exc:
        raise ArtifactError(f"{name} is damaged: {exc}; {_AGAIN}", path=packed) from exc
    if found != entry:
        raise ArtifactError(f"{name} is not what the manifest says; {_AGAIN}", path=packed)


def _copy(source: IO[bytes], target: IO[bytes]) -> FileEntry:
    """Copy all bytes, and give their number and SHA-256."""
    digest, size_bytes = hashlib.sha256(), 0
    while block := source.read(_BLOCK_BYTES):
        digest.update(block)
        target.write(block)
        size_bytes += len(block)
    return FileEntry(size_bytes=size_bytes, sha256=digest.hexdigest())
