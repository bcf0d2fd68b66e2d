"""The broker goes for minutes while images are judged: every verdict arrives, in order."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from benchmarks.harness.process import memory_bytes
from benchmarks.line.brokers import Broker, Listener
from benchmarks.line.lines import PART, config, images, raw_config
from edge_ad_line.line import Line


def outage(folder: Path, *, seconds: float, rate: float) -> dict[str, Any]:
    """Score at a pace while the broker is gone, and count what arrives when it is back.

    Returns:
        ``results``, ``arrived``, ``back_s`` until all had arrived, ``memory_bytes`` that were
        taken meanwhile, the slowest ``score_ms``, and ``faults`` in words.
    """
    broker = Broker(folder)
    listener = Listener(broker.port)
    sink = {"kind": "mqtt", "name": "broker", "host": "127.0.0.1", "port": broker.port}
    line = Line.open(config(raw_config(folder, sink=[sink])))
    line.start()
    content, ids, slowest_s = images(), list[str](), list[float]()
    for _ in range(20):  # all that is made once is made
        ids.append(line.score(PART, next(content)).id)
    _wait_for(listener, len(ids), 60)
    before, begun = memory_bytes("VmRSS"), time.monotonic()
    broker.stop()
    due = time.monotonic()
    while due < begun + seconds:
        due += 1 / rate
        asked = time.monotonic()
        ids.append(line.score(PART, next(content)).id)
        slowest_s.append(time.monotonic() - asked)
        time.sleep(max(0.0, due - time.monotonic()))
    taken = memory_bytes("VmRSS") - before
    broker.start()
    back = time.monotonic()
    _wait_for(listener, len(ids), 300)
    back_s = time.monotonic() - back
    line.drain()
    line.close()
    listener.close()
    broker.stop()
    heard = _heard(listener)
    checks = {
        "a verdict did not arrive": set(ids) - set(heard),
        "they did not arrive in order": heard != ids,
    }
    return {
        "seconds": seconds,
        "rate": rate,
        "results": len(ids),
        "arrived": len(heard),
        "back_s": back_s,
        "memory_bytes": taken,
        "score_ms": [round(s * 1000, 2) for s in slowest_s],
        "faults": [what for what, found in checks.items() if found],
    }


def _heard(listener: Listener) -> list[str]:
    return list(dict.fromkeys(record["id"] for record in listener.records()))


def _wait_for(listener: Listener, count: int, most_s: float) -> None:
    until = time.monotonic() + most_s
    while len(_heard(listener)) < count and time.monotonic() < until:
        time.sleep(0.1)
