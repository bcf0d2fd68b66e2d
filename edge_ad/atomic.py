"""Write a folder wholly or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_ad_runtime.errors import ConfigError, ExportError


@contextmanager
def atomic_folder(out: Path, *, overwrite: bool) -> Iterator[Path]:
    """Give a temporary folder beside ``out``; on success flush it to disk and rename it to ``out``.

    A process that dies leaves ``out`` as it was, and at worst a folder ``.NAME.partial-*`` beside
    it. Of two processes that write the same ``out``, the first to finish wins and the other is
    told.

    Raises:
        ConfigError: ``out`` exists and ``overwrite`` is false, or is a file.
        ExportError: the disk is full, not writable, or ``out`` appeared meanwhile.
    """
    check_free(out, overwrite=overwrite)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{out.name}.partial-", dir=out.parent))
    except OSError as exc:
        raise ExportError(f"{out.parent}: cannot be written: {exc.strerror}") from exc
    try:
        yield partial
        partial.chmod(0o755)  # mkdtemp makes it private
        _flush(partial)
        _move_into_place(partial, out, overwrite)
    except OSError as exc:
        raise ExportError(
            f"{out}: cannot be written: {exc.strerror or exc}; nothing was changed"
        ) from exc
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def check_free(out: Path, *, overwrite: bool) -> None:
    """Refuse an ``out`` that is in use, before any long work is done for it; see above."""
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out}: is a file; give the name of a new folder")
    if out.exists() and not overwrite:
        raise ConfigError(f"{out}: already exists; give another name, or --overwrite")


def _move_into_place(partial: Path, out: Path, overwrite: bool) -> None:
    if out.exists():
        if not overwrite:
            raise ExportError(f"{out}: appeared while this was being made; it was left as it is")
        old = Path(tempfile.mkdtemp(prefix=f".{out.name}.old-", dir=out.parent))
        out.rename(old / out.name)
        partial.rename(out)
        shutil.rmtree(old)
    else:
        partial.rename(out)  # fails if a folder with files appears in this very moment
    _sync(out.parent)


def _flush(folder: Path) -> None:
    for path in [*folder.rglob("*"), folder]:
        _sync(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
