"""Run a few lines in a fresh interpreter: what has started here must not be seen there."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping

from edge_ad_runtime.errors import EngineError


def run_child(code: str, job: Mapping[str, object]) -> str:
    """What ``code`` prints, given ``job`` as JSON on its standard input.

    Raises:
        EngineError: it failed, though this process has just done the same.
    """
    child = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(job),
        capture_output=True,
        text=True,
        check=False,
    )
    if child.returncode != 0:
        last = (child.stderr.strip().splitlines() or [f"exit code {child.returncode}"])[-1]
        raise EngineError(f"a fresh process could not score {job['images']}: {last}")
    return child.stdout
