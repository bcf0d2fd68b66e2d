"""Read ``manifest.json`` strictly and as a whole, in this schema or the one before.

The file must be, byte for byte, what writing its content gives. Its last key is the SHA-256 of the
file with that key empty, so that a manifest edited by hand or damaged on a memory card is refused.
This guards against accidents. It is not a signature.
"""

from __future__ import annotations

from pathlib import Path

from edge_ad_runtime.artifact import older, strict
from edge_ad_runtime.artifact.schema import SCHEMA, Manifest
from edge_ad_runtime.errors import ArtifactError
from edge_ad_runtime.regular_file import read_regular

FILE_NAME = "manifest.json"

MOST_BYTES = 4_000_000  # the file is no larger


def read_manifest(folder: Path) -> Manifest:
    """Read and check ``folder/manifest.json``.

    Raises:
        ArtifactError: the file is missing, is not JSON, has a schema that is not read, has an
            unknown or a missing key (the message names it), or was changed after it was written.
    """
    path = folder / FILE_NAME
    return parse_manifest(_read_text(folder, path), path)


def parse_manifest(text: str, path: Path) -> Manifest:
    """Check the content of a ``manifest.json``.

    Args:
        text: the content.
        path: where it was found, for messages.

    Raises:
        ArtifactError: as in `read_manifest`.
    """
    try:
        raw = strict.loads(text)
        schema = _schema(raw, path)
        found = older.parse(raw) if schema == older.SCHEMA else strict.parse(Manifest, raw)
    except ValueError as exc:
        raise ArtifactError(f"{exc}; export again", path=path) from exc
    if text != found.to_text() or found.sha256 != found.sealed().sha256:
        raise ArtifactError(
            "changed after export (its SHA-256 does not match); copy the artifact again", path=path
        )
    return found if isinstance(found, Manifest) else found.upgraded()


def _read_text(folder: Path, path: Path) -> str:
    try:
        # bytes are compared, since reading as text would forgive line ends that were changed
        return read_regular(path, most_bytes=MOST_BYTES).decode("utf-8")
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


def _schema(raw: object, path: Path) -> int:
    found = raw.get("schema") if isinstance(raw, dict) else None
    if type(found) is not int:
        raise ValueError("no whole number under the key 'schema'")
    if found > SCHEMA:
        raise ArtifactError(
            f"has schema {found}, this runtime reads {older.SCHEMA} and {SCHEMA}; upgrade "
            "edge-ad-runtime",
            path=path,
        )
    if found < older.SCHEMA:
        raise ValueError(
            f"schema {found} is not known; this runtime reads {older.SCHEMA} and {SCHEMA}"
        )
    return found
