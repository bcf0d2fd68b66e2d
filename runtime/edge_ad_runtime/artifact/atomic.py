"""Write a folder or a file wholly or not at all: its name always has the old or the new.

A folder is made under another name beside its own and flushed to disk. The kernel then exchanges it
with the old one in one step (``renameat2``), so that one of the two is always there. Where a file
system cannot exchange, there are two renames, and the old name comes back if the second fails.

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
from typing import BinaryIO

from edge_ad_runtime.errors import ConfigError, EdgeADWarning, ExportError
from edge_ad_runtime.regular_file import read_regular

_NO_REPLACE, _EXCHANGE = 1, 2  # renameat2(2)
_HERE = -100  # AT_FDCWD
_UNSUPPORTED = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)
_MOST_MARKER_BYTES = 1 << 30  # a report is large: it holds a line per image


@dataclass(frozen=True, kw_only=True)
class FolderKind:
    """How a folder of ours is recognised, so that no other folder is ever replaced.

    Attributes:
        name: what messages call such a folder, for example ``a fit``.
        marker: the name of a JSON file that every such folder contains.
        keys: the keys that this file has at its top level.
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
    """Give a temporary folder beside ``out``, which becomes ``out`` if the block raises no error.

    If two processes write the same ``out`` without ``overwrite``, the first to finish wins and the
    other gets an error. With ``overwrite``, the last to finish wins.

    Args:
        out: the name that the finished folder gets.
        overwrite: whether a folder of this kind that has this name already may be replaced.
        kind: the kind of folder that the block writes.
        inputs: the files and folders that the work is made from. They must not be replaced.

    Raises:
        ConfigError: see `check_free`.
        ExportError: the disk is full or not writable, or ``out`` appeared meanwhile. The message
            says what is there now.
    """
    check_free(out, overwrite=overwrite, kind=kind, inputs=inputs)
    shown, out = out, out.resolve()  # a symbolic link is kept, and what it points at is replaced
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
            sync(out.parent)
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

    If a process died between two renames and left the old folder under another name, that folder
    is put back first.

    Raises:
        ConfigError: ``out`` is a file, or it exists and ``overwrite`` is false, or it is no folder
            of this kind, or one of the inputs is in it.
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
    """Give a temporary folder beside ``out`` and remove it afterwards.

    Temporary folders that dead processes have left there are removed too.

    Raises:
        error: the folder cannot be made.
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
        OSError: it cannot be written. The file that was there before is still there.
    """
    with atomic_file(path) as file:
        file.write(content)


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Give an open file under another name, which becomes ``path`` if the block raises no error.

    Raises:
        OSError: it cannot be written. The file that was there before is still there.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        # a file of that name is not this process's: it is a leftover, or a link to another file
        partial.unlink(missing_ok=True)
        with partial.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise
    sync(path.parent)


def _locked_folder(out: Path) -> tuple[Path, int]:
    """Make a new folder beside ``out``, and give it with the descriptor that holds its lock."""
    while True:
        partial = out.with_name(f".{out.name}.partial-{secrets.token_hex(4)}")
        partial.mkdir()
        try:
            lock = os.open(partial, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:  # another process took it for a leftover before it was opened
            continue
        if _lock(lock) and _identity(partial) is not None:
            return partial, lock
        os.close(lock)  # another process took it for a leftover before it was locked


def _lock(descriptor: int) -> bool:
    """Take the lock, and say whether nobody else holds it.

    Where a file system knows no locks, nobody can tell, and the answer is yes.
    """
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
    """Give the old folder its name again if a process died between `_exchange`'s two renames."""
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
    """Call ``renameat2``. Where there is none, a plain rename stands in for `_NO_REPLACE`."""
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
        source.rename(target)  # it fails if a folder with files has just appeared there
        return
    raise OSError(code, os.strerror(code), str(target))


def _identity(path: Path) -> tuple[int, int] | None:
    """The numbers that a folder keeps when it is renamed, or None if the folder is not there."""
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def flush(folder: Path) -> None:
    """Have the kernel write a folder and all that is in it to the disk."""
    for path in [*folder.rglob("*"), folder]:
        sync(path)


def sync(path: Path) -> None:
    """Have the kernel write a file, or the names in a folder, to the disk.

    Raises:
        OSError: it is not there, or the disk fails.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
