"""The section of benchmarks/README.md on `benchmarks.line_http`."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.harness.markdown import table


def section(record: dict[str, Any]) -> str:
    ms = record["ms"]
    rows = [
        [name, *(f"{np.percentile(times, q):.1f}" for q in (50, 95, 99)), f"{max(times):.1f}"]
        for name, times in (
            ("`Detector.predict` of the file", ms["predict"]),
            ("`POST .../score`, stored, on one connection", ms["http"]),
        )
    ]
    more = np.percentile(ms["http"], 99) - np.percentile(ms["predict"], 99)
    memory, hostile = record["memory_bytes"], record["hostile"]
    sent = sum(sum(found.values()) for found in hostile["statuses"].values())
    refused = sum(
        n for found in hostile["statuses"].values() for s, n in found.items() if s[0] == "4"
    )
    return f"""## The line over HTTP

The same PNG of {record["image_bytes"] / 1e6:.1f} MB to a detector and to `edge-ad serve`, a process beside it, {len(ms["http"])} times in turn{_pauses(record)}, {record["threads"]} threads each, milliseconds. (The machine's load average before was {record["load_average_before"]:.1f}.) The score is the same to the last digit each time. The line takes {more:+.1f} ms at the 99th percentile, and {(memory["line"] - memory["detector"]) / 1e6:.0f} MB more memory than a process with the detector alone ({memory["detector"] / 1e6:.0f} MB).

{table(["", "p50", "p95", "p99", "max"], rows)}

Of {sent:,} hostile bodies (truncated, one byte flipped, random, bombs of pixels, other types, JSON that is cut, wrong or deep, more than the limit) {refused:,} got a 4xx. The longest took {hostile["longest_ms"]:.0f} ms. Afterwards readiness is {hostile["ready_status"]}, a good image gets {hostile["good_image_status"]}, and the process takes {(record["memory_after_hostile_bytes"] - memory["line"]) / 1e6:+.0f} MB."""


def _pauses(record: dict[str, Any]) -> str:
    pause_s = record.get("pause_s", 0)  # the first record was made without
    return f" with pauses of {pause_s * 1e3:.0f} ms" if pause_s else ""
