"""What processes of benchmarks need at either end.

The peers' environments import this module too, so it needs the standard library alone.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TextIO

ROOT = Path(__file__).parents[2]
"""The repository's folder."""


def take_stdout() -> TextIO:
    """Stdout for answers alone: what libraries print goes to stderr from here on."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return answers


def memory_bytes(key: str, pid: int | None = None) -> int:
    """One of a process's sizes from ``/proc``: VmHWM, VmRSS, RssAnon, VmSize.

    The largest resident set (VmHWM) is since the interpreter started; getrusage's may be the
    parent's.

    Args:
        key: the size's name there.
        pid: whose it is; this process's by default.
    """
    status = Path(f"/proc/{pid or 'self'}/status").read_text(encoding="ascii", errors="replace")
    return int(status.split(f"{key}:")[1].split()[0]) * 1024
