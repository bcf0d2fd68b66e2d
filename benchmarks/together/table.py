"""The section on detectors in one process."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.harness.markdown import table


def section(record: dict[str, Any]) -> str:
    """Images per second of two artifacts, by where they are."""
    images = record["images"]
    rates = {name: images / float(np.median(each)) for name, each in record["seconds"].items()}
    processes = rates["two processes"]
    rows = [[name, f"{rate:.1f}", f"{rate / processes:.2f}"] for name, rate in rates.items()]
    return f"""## Two artifacts at once

Two artifacts with an index each, every detector on half of the cores, {images} images a round, {len(record["seconds"]["two threads"])} rounds in turn
(medians). Two threads of one process are to lose nothing against two processes.

{table(["", "images/s", "of two processes"], rows)}"""
