"""kill -9 at random while images come: nothing that was acknowledged may be missing or doubled."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.harness.process import ROOT
from benchmarks.line.lines import PART, config, images, raw_config
from edge_ad_line.line import Line
from edge_ad_line.store import Store


def child() -> None:
    """A line that scores at a pace and prints the id of each result that it was given."""
    raw, rate = json.loads(sys.argv[1]), float(sys.argv[2])
    line = Line.open(config(raw))
    line.start()
    print("ready", flush=True)
    content, due = images(), time.monotonic()
    while True:
        due += 1 / rate
        result = line.score(PART, next(content))
        print(result.id, flush=True)
        time.sleep(max(0.0, due - time.monotonic()))


def kills(folder: Path, *, count: int, rate: float, longest_s: float, seed: int) -> dict[str, Any]:
    """Start a line, kill it at random, and again; then hold what it acknowledged against the store.

    Images come by `Line.score` and through a folder at once, and go to a file of lines.

    Returns:
        ``acknowledged``, ``stored``, ``faults`` in words, and how many were ``interrupted``.
    """
    (folder / "spool").mkdir()
    raw = raw_config(
        folder,
        part=[{"name": PART, "artifact": str(ROOT / "tests/runtime/tiny.edgead"), "threads": 1},
              {"name": "spooled", "artifact": str(ROOT / "tests/runtime/tiny.edgead"),
               "threads": 1, "camera": "top"}],
        camera=[{"kind": "folder", "name": "top", "folder": str(folder / "spool"), "every_ms": 20}],
        sink=[{"kind": "json-lines", "name": "lines", "file": str(folder / "lines.jsonl")}],
    )  # fmt: skip
    draw, acknowledged, files = random.Random(seed), list[str](), 0
    for _ in range(count):
        files += _until_killed(raw, folder, rate, draw.uniform(0.1, longest_s), acknowledged, files)
    _finish(raw, files)
    return {"kills": count, "rate": rate, "files": files, **_compared(folder, acknowledged, count)}


def _until_killed(
    raw: dict[str, Any], folder: Path, rate: float, after_s: float, heard: list[str], files: int
) -> int:
    """Run a line for a while and kill it. Gives how many files it was fed."""
    command = [sys.executable, "-c", "from benchmarks.line.kills import child; child()"]
    process = subprocess.Popen(
        [*command, json.dumps(raw), str(rate)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    lines, output = list[str](), process.stdout
    reader = threading.Thread(target=lambda: lines.extend(output))
    reader.start()
    content, fed, until = images(), 0, time.monotonic() + after_s
    while time.monotonic() < until:
        partial = folder / "spool" / f".{files + fed}"
        partial.write_bytes(next(content))
        partial.rename(folder / "spool" / f"{files + fed:06}.png")
        fed += 1
        time.sleep(1 / rate)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    reader.join()
    output.close()
    heard += [line.strip() for line in lines if line.endswith("\n")]  # the last may be half
    return fed


def _finish(raw: dict[str, Any], files: int) -> None:
    """Let a last line judge what is left in the folder, and send what is left in the outbox."""
    line = Line.open(config(raw))
    line.start()
    until = time.monotonic() + 120
    with suppress(TimeoutError):
        while _judged_files(line) < files:
            if time.monotonic() > until:
                raise TimeoutError
            time.sleep(0.1)
    line.drain()
    line.close()


def _judged_files(line: Line) -> int:
    rows = line.store.database.rows("SELECT count(*) AS n FROM result WHERE source IS NOT NULL")
    return int(rows[0]["n"])


def _compared(folder: Path, acknowledged: list[str], count: int) -> dict[str, Any]:
    store = Store(folder / "data", config(raw_config(folder)).store)
    rows = store.database.rows("SELECT id, part, seq, source, doc FROM result ORDER BY n")
    left = store.database.rows("SELECT count(*) AS n FROM outbox")[0]["n"]
    store.close()
    ids = [row["id"] for row in rows]
    reasons = [json.loads(row["doc"])["reason"] for row in rows]
    told = [json.loads(text)["id"] for text in (folder / "lines.jsonl").read_text().splitlines()]
    sources = [row["source"].split()[0] for row in rows if row["source"] is not None]
    interrupted = reasons.count("interrupted")
    checks = {
        "a result that was acknowledged is missing": set(acknowledged) - set(ids),
        "a result is stored twice": len(ids) - len(set(ids)),
        "a number is missing": [
            part
            for part in {row["part"] for row in rows}
            if [r["seq"] for r in rows if r["part"] == part]
            != list(range(1, 1 + sum(r["part"] == part for r in rows)))
        ],
        "more images were interrupted than two a kill": max(0, interrupted - 2 * count),
        "a file was judged twice": len(sources) - len(set(sources)),
        "a file was not judged": len(list((folder / "spool").glob("*.png"))) - len(sources),
        "an error that is no interruption": [r for r in reasons if r not in (None, "interrupted")],
        "a result has not reached the sink": set(ids) - set(told),
        "lines are not in the order of the store": list(dict.fromkeys(told)) != ids,
        "a message is left": left,
    }
    return {
        "acknowledged": len(acknowledged),
        "stored": len(ids),
        "interrupted": interrupted,
        "lines": len(told),
        "faults": [what for what, found in checks.items() if found],
    }
