"""Run a few lines in a fresh interpreter, which sees nothing of what this one has started."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping

from edge_ad_runtime.errors import EngineError


def run_child(code: str, job: Mapping[str, object]) -> str:
    """Give what ``code`` prints when it gets ``job`` as JSON on its standard input.

    Raises:
        EngineError: the code failed, though this process has just done the same.
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
