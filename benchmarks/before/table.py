"""The section on an earlier state of this project."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.harness.markdown import table


def section(record: dict[str, Any]) -> str:
    """How long things take now, relative to then: medians over pairs."""
    rows = []
    for name, pairs in record["fresh_ms"].items():
        times = np.array(pairs)
        before, after = np.median(times, axis=0)
        ratio = np.median(times[:, 1] / times[:, 0])
        rows.append([name, f"{before:.0f} ms", f"{after:.0f} ms", f"{ratio:.2f}"])
    for name, pairs in record["wall_cpu_score"].items():
        times = np.array([[then[0], now[0]] for then, now in pairs])
        before, after = np.median(times, axis=0)
        ratio = np.median(times[:, 1] / times[:, 0])
        rows.append([name, f"{before:.1f} ms", f"{after:.1f} ms", f"{ratio:.2f}"])
    return f"""## This state beside an earlier one

Commit `{record["before"][:7]}` and commit `{record["commit"][:7]}`, in turn, with the same artifact ({record["bank_rows"]:,} bank rows), whose
scores are the same to the last digit. Import, command, cold start and fit are whole processes.

{table(["", "before", "after", "ratio (median of pairs)"], rows)}"""
