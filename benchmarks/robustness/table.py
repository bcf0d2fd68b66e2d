"""The section of benchmarks/README.md on `benchmarks.robustness`."""

from __future__ import annotations

from collections import Counter
from typing import Any

from benchmarks.harness.markdown import table

_ERROR, _SAME = "error", "same pixels"
_GOOD, _ANOMALOUS = "other pixels, good", "other pixels, anomalous"


def section(record: dict[str, Any]) -> str:
    parts = [
        "## Robustness\n\n"
        "Attacks at random, each made from a seed and its number, in processes that may crash, hang (2 s) or eat memory without "
        "harm; `python -m benchmarks.robustness.measure` runs them again. Seed "
        f"{record['seed']}; {_faults(record)}."
    ]
    sections = {"artifacts": _artifacts, "images": _images, "writes": _writes, "soak": _soak}
    return "\n\n".join(
        parts + [made(record[key]) for key, made in sections.items() if key in record]
    )


def _faults(record: dict[str, Any]) -> str:
    faults = sum(len(part["faults"]) for part in record.values() if _is_part(part))
    return f"{faults} faults in all" if faults else "no fault in any of them"


def _is_part(part: Any) -> bool:
    return isinstance(part, dict) and "faults" in part


def _of_kind(faults: list[dict[str, Any]], kind: str) -> int:
    return sum(fault["kind"] == kind for fault in faults)


def _artifacts(part: dict[str, Any]) -> str:
    kinds = {
        "refused by load or the first score": "refused",
        "by verify": "refused by verify",
        "accepted with the same scores": "accepted, same scores",
    }
    what = {
        "damaged": "damaged: bytes, files, the manifest's text; the manifest not told",
        "resealed": "resealed: a hostile manifest under a correct seal",
        "replaced": "replaced: hostile arrays, index, graph, images under the right hash",
        "beside": "beside: device.json, plans, other files",
    }
    rows = [
        [text, f"{sum(part['counts'][key].values()):,}"]
        + [f"{part['counts'][key].get(kind, 0):,}" for kind in kinds.values()]
        for key, text in what.items()
        if key in part["counts"]
    ]
    faults = part["faults"]
    bad = {
        "accepted with changed scores": "accepted and verified, changed scores",
        "damaged and verified": "damaged and verified",
        "crashes": "crash",
        "hangs": "hang",
        "over 600 MB": "memory",
        "exceptions of other kinds": "other exception",
    }
    counts = ", ".join(f"{_of_kind(faults, kind)} {name}" for name, kind in bad.items())
    return f"{part['trials']:,} mutated artifacts: {counts}.\n\n" + table(
        ["family", "artifacts", *kinds], rows
    )


def _images(part: dict[str, Any]) -> str:
    damaged = part["damaged"]["counts"]
    formats = list(dict.fromkeys(key.split(" | ")[0] for key in damaged))
    damages = list(dict.fromkeys(key.split(" | ")[1] for key in damaged))
    total = {name: _sum(damaged, name) for name in formats}
    formats.sort(key=lambda name: (total[name][_GOOD] + total[name][_ANOMALOUS], name))
    rows = [
        [name, *(_cell(damaged[f"{name} | {how}"]) for how in damages)]
        + [f"{total[name][_GOOD]:,} of {total[name].total():,}"]
        for name in formats
    ]
    structure = Counter[str]()
    for counts in part["structure"]["counts"].values():
        structure.update(counts)
    return (
        f"{part['damaged']['trials']:,} sound files of good parts, damaged. In each cell: per cent that were an error (or decoded to the same "
        "pixels) / decoded to another picture and were called anomalous / and were called good. Holes, zeros and exchanged sectors are of "
        "16 to 8,192 bytes; half of the flipped bits are in the first or last 700 bytes, where headers are. "
        "The detector has the default backbone and 48 drawn parts.\n\n"
        + table(["format", *damages, "called good"], rows)
        + f"\n\n{part['structure']['trials']:,} files whose structure is hostile (sizes, types, offsets, counts; checksums right): "
        f"{structure[_ERROR]:,} were errors, {structure['decoded']:,} decoded to the same pixels twice, none crashed, hung, or took more "
        f"than 16 bytes per pixel (and 100 MB): {len(part['faults'])} faults. FIFOs, devices, sockets, loops and sparse files are errors at once."
    )


def _sum(damaged: dict[str, dict[str, int]], name: str) -> Counter[str]:
    found = Counter[str]()
    for key, counts in damaged.items():
        if key.split(" | ")[0] == name:
            found.update(counts)
    return found


def _cell(counts: dict[str, int]) -> str:
    all_ = sum(counts.values())
    seen = all_ - counts.get(_GOOD, 0) - counts.get(_ANOMALOUS, 0)
    shares = (seen, counts.get(_ANOMALOUS, 0), counts.get(_GOOD, 0))
    return "100" if seen == all_ else " / ".join(f"{100 * s / all_:.0f}" for s in shares)


def _writes(part: dict[str, Any]) -> str:
    states = ("as before", "nothing there, as before", "new and whole")
    names = {
        "steps": "killed before or after a step, or it or all after it fail",
        "moments": "SIGKILL or SIGTERM at any moment",
        "room": "a disk or files of 100 bytes to 3 MB",
    }
    rows = []
    for kind, text in names.items():
        if kind not in part:
            continue
        counts = Counter[str]()
        for each in part[kind]["counts"].values():
            counts.update(each)
        rows.append([text, f"{counts.total():,}", *(f"{counts[state]:,}" for state in states)])
    return (
        "`fit`, `export` (exact and hnsw), `evaluate --report` and `tune`, cut short, over an old folder and to a new name. A step is a call "
        "of mkdir, rename, renameat2, rmdir, unlink, fsync, open for writing or write. Afterwards: the old or the new is under the name, "
        "whole; what was said of it is true; the next run removes what was left. "
        f"{len(part['faults'])} faults.\n\n"
        + table(["cut short", "runs", "the old one", "nothing, as before", "the new one"], rows)
    )


def _soak(part: dict[str, Any]) -> str:
    samples = part["samples"]
    first, last = samples[len(samples) // 4], samples[-1]
    return (
        f"`edge-ad watch`, {part['frames']:,} frames in {part['seconds'] / 60:.0f} minutes, some of them corrupt, in halves, vanishing, "
        "replaced by others of the same size and time, with hostile names; the process stopped and continued, its folder taken away and "
        f"brought back, SIGTERM and SIGKILL in mid-burst, and two watches on one file of lines: {part['lines']:,} lines, "
        f"{len(part['faults'])} lost, doubled, torn or wrong. After a quarter and at the end: {first[1] / 1e6:.1f} and {last[1] / 1e6:.1f} MB, "
        f"{first[2]} and {last[2]} descriptors, {first[3]} and {last[3]} threads."
    )
