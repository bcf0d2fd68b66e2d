"""What a command says beside its results: a line on stderr."""

from __future__ import annotations

import errno
from contextlib import suppress

import click

from edge_ad_runtime.escaping import shown
from edge_ad_runtime.progress import is_quiet

# A disk may answer any write of any command with one of these errors. Every other error that is no
# EdgeADError is our bug and keeps its traceback.
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}


def tell(text: str) -> None:
    """Say one line on stderr, which may be full too."""
    with suppress(OSError):
        click.echo(f"edge-ad: {shown(text)}", err=True)


def remark(text: str) -> None:
    """Say one line on stderr that nobody needs to have read: with ``--quiet`` it is left out."""
    if not is_quiet():
        tell(text)


def tell_of_disk(error: OSError) -> None:
    """Say what the disk has answered. An error that is none of a disk's is raised again."""
    if error.errno not in _DISK:
        raise error
    where = f"{error.filename}: " if error.filename else ""
    tell(f"{where}cannot be written: {error.strerror}")
