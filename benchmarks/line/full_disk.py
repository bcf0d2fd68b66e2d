"""A small disk that somebody fills: verdicts go on, what is lost is counted, and it recovers."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.line.lines import PART, config, images, raw_config
from edge_ad_line.line import Line


@contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[Path]:
    """A tmpfs of so many bytes. It takes root.

    Raises:
        PermissionError: this user may not mount.
    """
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        raise PermissionError("mounting a tmpfs takes root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def full_disk(folder: Path, *, results: int) -> dict[str, Any]:
    """Fill a disk of 4 MB, judge images on it, make room again, and judge some more.

    Returns:
        How many results were ``judged``, ``stored`` and ``told`` (to a file on another disk) while
        it was full, the ``lost_images``, whether it has ``recovered``, and ``faults`` in words.
    """
    with small_disk(folder / "disk", 4 << 20) as disk:
        lines = folder / "lines.jsonl"
        raw = raw_config(
            disk,
            store={"reserve_bytes": 300_000},
            sink=[{"kind": "json-lines", "name": "lines", "file": str(lines)}],
        )
        line = Line.open(config(raw))
        line.start()
        content = images()
        before = [line.score(PART, next(content)) for _ in range(4)]
        time.sleep(0.5)
        filler = disk / "somebody's"
        _fill(filler)
        full = [line.score(PART, next(content)) for _ in range(results)]
        _fill(filler)  # what the reserve has given back too
        full += [line.score(PART, next(content)) for _ in range(results)]
        failures = line.store.status()["failures"]
        filler.unlink()
        line.store.tidy()
        after = [line.score(PART, next(content)) for _ in range(4)]
        time.sleep(1)
        has_image = line.store.image(after[1].id) is not None
        line.drain()
        stored = line.store.results(limit=10**6)
        is_sound = line.store.database.rows("PRAGMA integrity_check")[0][0] == "ok"
        line.close()
        told = lines.read_text(encoding="utf-8").splitlines()
    judged = [*before, *full, *after]
    acknowledged = {result.id for result in judged if result.stored}
    checks = {
        "an image was not judged": [r for r in judged if r.verdict == "error"],
        "a result that was stored is missing": acknowledged - {r["id"] for r in stored},
        "a number is missing": [r["seq"] for r in stored] != list(range(len(stored), 0, -1)),
        "a loss was not counted": failures["result"] != sum(not r.stored for r in full),
        "no image was lost, so the disk was not full": failures["image"] == 0,
        "a verdict was not told": len(told) < len(judged),
        "results are not stored again": [r for r in after if not r.stored],
        "images are not kept again": not has_image,
        "the database is damaged": not is_sound,
    }
    return {
        "judged": len(full),
        "stored": sum(result.stored for result in full),
        "told": len(told),
        "lost_images": failures["image"],
        "recovered": has_image,
        "faults": [what for what, found in checks.items() if found],
    }


def _fill(path: Path) -> None:
    """Write until the disk takes not another byte."""
    with path.open("ab", buffering=0) as file:
        for size in (4096, 1):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                continue
