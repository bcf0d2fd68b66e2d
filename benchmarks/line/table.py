"""The section of benchmarks/README.md on `benchmarks.line`."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.harness.markdown import table

_MOST_MEMORY_BYTES, _MOST_SLOPE_BYTES = 20_000_000, 1_000_000


def section(record: dict[str, Any]) -> str:
    rows = {
        "health": _health, "kills": _kills, "outage": _outage, "unplugs": _unplugs,
        "swaps": _swaps, "full_disk": _full_disk, "soak": _soak,
    }  # fmt: skip
    found = [
        [*made(record["found"][key]), _broken(key, record["found"][key])]
        for key, made in rows.items()
        if key in record["found"]
    ]
    return f"""## On the line

What [`edge-ad serve`](../runtime/LINE.md) promises, tried with the tests' small artifact, on a machine that others worked on too, so that times are upper bounds. `python -m benchmarks.line.measure` tries it again. The last column names broken promises.

{table(["what was done", "what was found", "broken"], found)}"""


def _broken(key: str, part: dict[str, Any]) -> str:
    """The promises that were not kept: those that are counted when it is tried, and those in ms and MB."""
    found = list(part["faults"])
    if key == "swaps" and part["above_twice_p99"]:
        found.append(f"{part['above_twice_p99']} images took more than twice the p99")
    if key == "swaps" and part["memory_bytes"] > _MOST_MEMORY_BYTES:
        found.append(f"memory grew by {part['memory_bytes'] / 1e6:.1f} MB, 20 were promised")
    if key == "soak" and part["slope_bytes"] > _MOST_SLOPE_BYTES:
        found.append("memory grows by more than 1 MB in 10,000")
    return "; ".join(found) or "none"


def _health(part: dict[str, Any]) -> list[str]:
    good, spoilt = sum(part["good"].values()), part["spoilt"]
    seen = sum(found.get(kind, 0) for kind, found in spoilt.items())
    of = sum(sum(found.values()) for found in spoilt.values())
    return [
        f"{good:,} drawn good parts, {sum(part['defective'].values()):,} defective ones, {of:,} spoilt pictures",
        f"{good - part['good'].get('none', 0)} good and {sum(part['defective'].values()) - part['defective'].get('none', 0)} "
        f"defective ones flagged, {seen:,} spoilt ones named rightly; {np.median(part['ms']):.1f} ms at 5 megapixels",
    ]


def _kills(part: dict[str, Any]) -> list[str]:
    return [
        f"{part['kills']} times kill -9 at random, {part['rate']} images/s each over Python and a folder",
        f"{part['acknowledged']:,} acknowledged and {part['files']:,} files, {part['stored']:,} stored once and without gaps, "
        f"{part['interrupted']} of them as interrupted",
    ]


def _outage(part: dict[str, Any]) -> list[str]:
    return [
        f"no broker for {part['seconds'] / 60:.0f} minutes at {part['rate']:g} images/s",
        f"{part['arrived']:,} of {part['results']:,} arrived, in order, {part['back_s']:.0f} s after its return; "
        f"memory {part['memory_bytes'] / 1e6:+.0f} MB",
    ]


def _unplugs(part: dict[str, Any]) -> list[str]:
    return [
        f"a camera (MJPEG) unplugged {part['cycles']} times",
        f"seen within {max(part['seen_s']):.1f} s, back within {max(part['back_s']):.1f} s, no picture twice; memory "
        f"{part['memory_bytes'] / 1e6:+.1f} MB",
    ]


def _swaps(part: dict[str, Any]) -> list[str]:
    quiet, swap = part["quiet_ms"], part["swap_ms"]
    return [
        f"{part['swaps']} uploads, each verified and swapped, at {part['rate']} images/s",
        f"{part['images']:,} images, none lost; {part['refused']} damaged uploads refused; p50 and p99 {_ms(quiet)} before and "
        f"{_ms(swap)} meanwhile, {part['above_twice_p99']} above twice the p99; memory {part['memory_bytes'] / 1e6:+.0f} MB; "
        f"roll back in {part['roll_back_s']:.1f} s",
    ]


def _ms(values: list[float]) -> str:
    middle, tail = np.percentile(values, [50, 99])
    return f"{middle:.0f} and {tail:.0f} ms"


def _full_disk(part: dict[str, Any]) -> list[str]:
    return [
        "a disk of 4 MB, filled and made room on again",
        f"{part['judged']} verdicts on it, {part['stored']} of them stored, all told; {part['lost_images']} images lost and counted; "
        f"{'stores again' if part['recovered'] else 'does not recover'}",
    ]


def _soak(part: dict[str, Any]) -> list[str]:
    return [
        f"{part['images']:,} images, one after the other",
        f"memory grows by {part['slope_bytes'] / 1e6:.2f} MB in 10,000 images over the second half",
    ]
