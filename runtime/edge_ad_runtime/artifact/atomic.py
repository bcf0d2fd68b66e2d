"""Write a folder or a file wholly or not at all: under its name is the old or the new, always.

A folder is made under another name beside its own, flushed to disk, and then exchanged with the old
one in one step of the kernel (``renameat2``), so that no moment and no error is without either.
File systems that cannot exchange get two renames, and the old one back if the second fails.

The temporary folder is locked by the process that writes it. The kernel drops the lock when the
process dies, however it dies, so that the next run knows which leftovers are nobody's.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import glob
import json
import os
import secrets
import shutil
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from edge_ad_runtime.errors import ConfigError, EdgeADWarning, ExportError
from edge_ad_runtime.regular_file import read_regular

_NO_REPLACE, _EXCHANGE = 1, 2  # renameat2(2)
_HERE = -100  # AT_FDCWD
_UNSUPPORTED = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)
_MOST_MARKER_BYTES = 1 << 30  # a report holds a line per image


@dataclass(frozen=True, kw_only=True)
class FolderKind:
    """What a folder of ours is told by, so that no other is ever replaced.

    Attributes:
        name: for messages, such as ``a fit``.
        marker: a JSON file in it.
        keys: which that file has at its top.
    """

    name: str
    marker: str
    keys: frozenset[str]

    def is_of(self, folder: Path) -> bool:
        """Whether the folder is of this kind, or empty."""
        try:
            if not any(folder.iterdir()):
                return True
            content = json.loads(read_regular(folder / self.marker, most_bytes=_MOST_MARKER_BYTES))
        except (OSError, ValueError, RecursionError):
            return False
        return isinstance(content, dict) and self.keys <= content.keys()


ARTIFACT = FolderKind(
    name="an artifact", marker="manifest.json", keys=frozenset({"schema", "files", "sha256"})
)


@contextmanager
def atomic_folder(
    out: Path, *, overwrite: bool, kind: FolderKind, inputs: Iterable[Path] = ()
) -> Iterator[Path]:
    """Give a temporary folder beside ``out``, which is ``out`` if the block ends without an error.

    Of two processes that write the same ``out`` without ``overwrite``, the first to finish wins and
    the other is told; with it, the last one wins.

    Args:
        out: the name.
        overwrite: replace a folder of this kind.
        kind: what the block writes.
        inputs: files and folders that the work is made from, and that must not be replaced.

    Raises:
        ConfigError: see `check_free`.
        ExportError: the disk is full, not writable, or ``out`` appeared meanwhile; the message says
            what is there now.
    """
    check_free(out, overwrite=overwrite, kind=kind, inputs=inputs)
    shown, out = out, out.resolve()  # a link stays one
    before = _identity(out)
    with scratch_folder(out, error=ExportError) as partial:
        made = _identity(partial)
        try:
            yield partial
            flush(partial)
            if before is None:
                _rename(partial, out, _NO_REPLACE)
            else:
                _exchange(partial, out)
            _sync(out.parent)
        except OSError as exc:
            now = _identity(out)
            if now not in (None, before, made):
                raise ExportError(
                    f"{shown}: appeared while this was being made; it was left as it is"
                ) from exc
            is_there = "the new one is in place" if now == made else "nothing was changed"
            raise ExportError(
                f"{shown}: cannot be written: {exc.strerror or exc}; {is_there}"
            ) from exc


def check_free(
    out: Path, *, overwrite: bool, kind: FolderKind, inputs: Iterable[Path] = ()
) -> None:
    """Refuse an ``out`` that is in use, before any long work is done for it.

    (An old one that a dead process has left under another name is put back first.)

    Raises:
        ConfigError: it is a file; it exists and ``overwrite`` is false; it is no folder of this
            kind, or one of the inputs is in it.
    """
    try:
        _put_back(out.resolve())
        exists, is_folder = os.path.lexists(out), out.is_dir()
    except (OSError, ValueError) as exc:
        raise ConfigError(f"{out}: cannot be written: {exc}") from exc
    if not exists:
        return
    if not is_folder:
        raise ConfigError(f"{out}: is a file; give the name of a new folder")
    if not overwrite:
        raise ConfigError(f"{out}: already exists; give another name, or --overwrite")
    for path in inputs:
        if path.resolve().is_relative_to(out.resolve()):
            raise ConfigError(
                f"{out}: would be replaced, but {path} is read from it; give another name"
            )
    if not kind.is_of(out):
        raise ConfigError(
            f"{out}: is not {kind.name} (no {kind.marker} of one in it), and only such a folder is "
            "overwritten; give another name, or remove it yourself"
        )


@contextmanager
def scratch_folder(out: Path, *, error: type[Exception] = OSError) -> Iterator[Path]:
    """A temporary folder beside ``out``, gone afterwards; and those that dead processes have left.

    Raises:
        error: it cannot be made.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(out)
        partial, lock = _locked_folder(out)
    except OSError as exc:
        raise error(f"{out.parent}: cannot be written: {exc.strerror}") from exc
    try:
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        os.close(lock)


def write_file(path: Path, content: bytes) -> None:
    """Write a file under another name, flush it to disk, and give it its name.

    Raises:
        OSError: it cannot be written; what was there is there.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        # whatever is there was not made by this process: a leftover, or a link to another file
        partial.unlink(missing_ok=True)
        with partial.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError:
        with suppress(OSError):
            partial.unlink()
        raise
    _sync(path.parent)


def _locked_folder(out: Path) -> tuple[Path, int]:
    """A new folder beside ``out``, and the descriptor that holds its lock."""
    while True:
        partial = out.with_name(f".{out.name}.partial-{secrets.token_hex(4)}")
        partial.mkdir()
        lock = os.open(partial, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        if _lock(lock) and _identity(partial) is not None:
            return partial, lock
        os.close(lock)  # another process took it for a leftover before it was locked


def _lock(descriptor: int) -> bool:
    """Whether nobody else holds it; where a file system knows no locks, nobody can tell."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _remove_leftovers(out: Path) -> None:
    """Remove what dead processes have left beside ``out``."""
    _put_back(out)
    name = glob.escape(out.name)
    for old in out.parent.glob(f".{name}.old-*"):
        shutil.rmtree(old, ignore_errors=True)
    for partial in out.parent.glob(f".{name}.partial-*"):
        with suppress(OSError):
            descriptor = os.open(partial, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(partial, ignore_errors=True)
            finally:
                os.close(descriptor)


def _put_back(out: Path) -> None:
    """Give the old one its name again if a process died between the two renames of `_exchange`."""
    for old in out.parent.glob(f".{glob.escape(out.name)}.old-*"):
        if not os.path.lexists(out):
            old.rename(out)


def _exchange(partial: Path, out: Path) -> None:
    """Put ``partial`` in the place of ``out``, and remove what was there."""
    try:
        _rename(partial, out, _EXCHANGE)
    except OSError as exc:
        if exc.errno not in _UNSUPPORTED:
            raise
        old = out.with_name(f".{out.name}.old-{secrets.token_hex(4)}")
        out.rename(old)
        try:
            partial.rename(out)
        except OSError:
            old.rename(out)
            raise
    else:
        old = partial
    shutil.rmtree(old, ignore_errors=True)
    if os.path.lexists(old):
        warnings.warn(
            f"the new {out.name} is in place, the old one could not be removed: {old}",
            EdgeADWarning,
            stacklevel=3,
        )


def _rename(source: Path, target: Path, flag: int) -> None:
    """``renameat2``; where there is none, a plain rename stands in for `_NO_REPLACE`."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError:
        code = errno.ENOSYS
    else:
        names = (os.fsencode(source), os.fsencode(target))
        if renameat2(_HERE, names[0], _HERE, names[1], flag) == 0:
            return
        code = ctypes.get_errno()
    if flag == _NO_REPLACE and code in _UNSUPPORTED:
        source.rename(target)  # fails if a folder with files appears in this very moment
        return
    raise OSError(code, os.strerror(code), str(target))


def _identity(path: Path) -> tuple[int, int] | None:
    """What stays with a folder when it is renamed; None if it is not there."""
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def flush(folder: Path) -> None:
    """Have the kernel write a folder and all that is in it to the disk."""
    for path in [*folder.rglob("*"), folder]:
        _sync(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
