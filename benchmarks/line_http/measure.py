"""A verdict over HTTP, and hostile bodies: python -m benchmarks.line_http.measure.

``edge-ad serve`` is a process of its own. The same 2 MB image goes to a detector in this process
and to the line, in turn; each answer of the line is in its store, on the disk, before it comes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import cv2
import numpy as np

from benchmarks.harness.clock import in_turn_ms
from benchmarks.harness.process import memory_bytes
from benchmarks.harness.record import add_draft_option, check_tree, write_record
from benchmarks.line_http.hostile import bodies
from edge_ad import PatchCoreConfig, fit
from edge_ad.synthetic.parts import draw_part, write_parts
from edge_ad_export import ExportConfig, export
from edge_ad_runtime import Detector

SIZE = (1024, 1280)  # a PNG of a drawn part in this size has 2 MB
LIMIT_BYTES = 3_000_000
WARM_UP = 20

# What the runtime takes without a line: the memory of one detector that has scored.
ALONE = """
import sys
from pathlib import Path
from edge_ad_runtime import Detector
detector = Detector.load(sys.argv[1], threads=int(sys.argv[3]))
for _ in range(20):
    detector.predict(sys.argv[2])
status = Path("/proc/self/status").read_text()
print(int(status.split("VmRSS:")[1].split()[0]) * 1024)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--hostile", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=2)
    add_draft_option(parser)
    options = parser.parse_args()
    commit = check_tree(draft=options.draft)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        artifact, image = make(folder)
        alone = [sys.executable, "-c", ALONE, str(artifact), str(image), str(options.threads)]
        alone_bytes = int(subprocess.check_output(alone))
        with line(folder, artifact, options.threads) as (connection, pid), Detector.load(
            artifact, threads=options.threads
        ) as detector:  # fmt: skip
            content = {
                "image_bytes": image.stat().st_size,
                "threads": options.threads,
                **latencies(connection, detector, image, options.images),
                "memory_bytes": {"detector": alone_bytes, "line": memory_bytes("VmRSS", pid)},
                "hostile": hostile(connection, image.read_bytes(), options.hostile),
                "memory_after_hostile_bytes": memory_bytes("VmRSS", pid),
            }
    write_record("line_http", commit, content)


def make(folder: Path) -> tuple[Path, Path]:
    """An artifact of drawn parts, and a large image of one."""
    write_parts(folder / "parts", good=60, test_good=0, per_defect=0)
    fitted = fit(folder / "parts/train/good", PatchCoreConfig(coreset_fraction=0.02))
    export(fitted, folder / "plate.edgead", ExportConfig())
    rng = np.random.default_rng(1)
    part = draw_part(rng).image
    large = cv2.resize(part, SIZE[::-1], interpolation=cv2.INTER_CUBIC).astype(np.int16)
    noisy = np.clip(large + rng.normal(0, 1.5, large.shape), 0, 255).astype(np.uint8)
    image = folder / "part.png"
    cv2.imwrite(str(image), cv2.cvtColor(noisy, cv2.COLOR_RGB2BGR))
    return folder / "plate.edgead", image


@contextmanager
def line(folder: Path, artifact: Path, threads: int) -> Iterator[tuple[HTTPConnection, int]]:
    """``edge-ad serve`` in a process: a connection to it, and its number."""
    settings = folder / "line.toml"
    settings.write_text(
        f'[device]\nsite = "bench"\nname = "http"\ndata = "data"\n'
        f'[[part]]\nname = "plate"\nartifact = "{artifact}"\nthreads = {threads}\n'
        f'[web]\nlisten = "127.0.0.1:0"\nmost_body_bytes = {LIMIT_BYTES}\n'
    )
    command = [sys.executable, "-m", "edge_ad_runtime", "serve", str(settings)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        address = next(line for line in process.stderr if "http://" in line).split()[-1]
        connection = HTTPConnection(urlsplit(address).netloc, timeout=60)
        yield connection, process.pid
        process.terminate()


def latencies(
    connection: HTTPConnection, detector: Detector, image: Path, images: int
) -> dict[str, Any]:
    """Milliseconds of both ways, in turn, and what the line says of its own time."""
    content, records = image.read_bytes(), []

    def over_http(_: int) -> None:
        status, answer = posted(connection, "/v1/parts/plate/score", {}, content)
        assert status == 200, answer
        records.append(json.loads(answer))

    ways = {"predict": lambda _: detector.predict(image), "http": over_http}
    in_turn_ms(ways, range(WARM_UP))
    records.clear()
    times = in_turn_ms(ways, range(images))
    score = detector.predict(image).score
    assert {record["score"] for record in records} == {score}, "the same score to the last digit"
    return {"ms": times, "inside_the_line_ms": [r["timings_ms"]["total"] for r in records]}


def hostile(connection: HTTPConnection, good: bytes, count: int) -> dict[str, Any]:
    """How many of each kind got which status, and whether the line is ready afterwards."""
    statuses: dict[str, Counter[int]] = {}
    longest_ms = 0.0
    for kind, (path, headers, body) in bodies(good, count=count):
        start = time.perf_counter()
        status, _ = posted(connection, path, headers, body)
        longest_ms = max(longest_ms, (time.perf_counter() - start) * 1e3)
        statuses.setdefault(kind, Counter())[status] += 1
    connection.request("GET", "/v2/health/ready")
    ready = connection.getresponse()
    ready.read()
    status, answer = posted(connection, "/v1/parts/plate/score", {}, good)
    return {
        "statuses": {
            kind: {str(s): n for s, n in found.items()} for kind, found in statuses.items()
        },
        "longest_ms": round(longest_ms, 1),
        "ready_status": ready.status,
        "good_image_status": status,
    }


def posted(
    connection: HTTPConnection, path: str, headers: dict[str, str], body: bytes
) -> tuple[int, bytes]:
    """Post, on a new connection where the line has closed the last one."""
    try:
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (BrokenPipeError, ConnectionResetError):  # refused before all was sent
        connection.close()
        connection.request("POST", path, body[:LIMIT_BYTES], headers)
        answer = connection.getresponse()
        return answer.status, answer.read()


if __name__ == "__main__":
    main()
