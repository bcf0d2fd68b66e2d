"""Two states of this project side by side: starting, loading, reading and scoring, and fitting.

    python -m benchmarks.before.measure CHECKOUT      a clone at the commit to compare with

Each state is a process of its own, which imports the runtime from its checkout. Both load the same
artifact (of magnetic tiles, fitted and exported by the earlier state: an older runtime reads no
newer schema) and score the same files, JPEG and PNG, in turn: the one that goes first changes from
one image to the next. Imports, cold starts and fits have a process each, in turn too.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness.clock import seconds
from benchmarks.harness.datasets import read_data_set
from benchmarks.harness.process import ROOT
from benchmarks.harness.record import (
    add_draft_option,
    check_tree,
    data_root,
    imagenet_resnet18,
    write_record,
)
from edge_ad_runtime.artifact import Artifact
from edge_ad_runtime.artifact.head_records import PatchSearchRecord

PAUSE_S = 0.02  # the threads of the process before may spin a while

# Fit and export by a checkout's own code, by names that every state has had; the paths of the good
# images come on stdin.
MAKE = """
import json, sys
from pathlib import Path
checkout, weights, artifact = sys.argv[1:]
sys.path[:0] = [checkout, checkout + "/export", checkout + "/runtime"]
import edge_ad, edge_ad_export, edge_ad_runtime
for package in (edge_ad, edge_ad_export, edge_ad_runtime):
    assert package.__file__.startswith(checkout), package.__file__
good = [Path(path) for path in json.load(sys.stdin)]
config = edge_ad.PatchCoreConfig(weights=weights, holdout_fraction=1 / 17)
edge_ad_export.export(edge_ad.fit(good, config), artifact, edge_ad_export.ExportConfig())
"""

# Milliseconds of wall clock and of processor time, for each line of stdin: "load", or a file. It
# has a clock of its own, as an earlier checkout has no `benchmarks.harness`.
SERVE = """
import gc, json, sys, time
sys.path.insert(0, sys.argv[1])
import edge_ad_runtime
assert edge_ad_runtime.__file__.startswith(sys.argv[1]), edge_ad_runtime.__file__
from edge_ad_runtime import Detector
detector = Detector.load(sys.argv[2])
for line in sys.stdin:
    job, score = line.strip(), None
    if job == "load":
        detector = None
        gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    if job == "load":
        detector = Detector.load(sys.argv[2])
    else:
        score = detector.predict(job).score
    took = (time.perf_counter() - wall) * 1e3, (time.process_time() - cpu) * 1e3
    print(json.dumps([*took, score]), flush=True)
"""


# What a fresh process does, given checkout, artifact and image as arguments, the paths of good
# images on stdin.
_CHECKOUT = """
import sys
checkout = sys.argv[1]
sys.path[:0] = [checkout, checkout + "/export", checkout + "/runtime"]
"""
FRESH = {
    "import edge_ad_runtime": "import edge_ad_runtime",
    "edge-ad --version": """
from importlib import import_module, util
new = util.find_spec("edge_ad_runtime.commands")
main = import_module("edge_ad_runtime.commands.main" if new else "edge_ad_runtime.cli").main
main(["--version"])
""",
    "cold start": """
from edge_ad_runtime import Detector
Detector.load(sys.argv[2]).predict(sys.argv[3])
""",
    "fit": """
import json
from pathlib import Path
from edge_ad import PatchCoreConfig, fit
config = PatchCoreConfig(weights=sys.argv[4], holdout_fraction=1 / 9)
fit([Path(path) for path in json.load(sys.stdin)], config)
""",
}


class State:
    """A process that loads and scores with one checkout's runtime."""

    def __init__(self, checkout: Path, artifact: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", SERVE, str(checkout / "runtime"), str(artifact)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, job: str) -> list[Any]:
        """Have one job done: wall ms, processor ms, score."""
        assert self._process.stdin is not None and self._process.stdout is not None
        print(job, file=self._process.stdin, flush=True)
        answer: list[Any] = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        """End of stdin, end of the process."""
        self._process.communicate()


def main() -> None:
    options = parse()
    commit = check_tree(draft=options.draft)
    before = options.checkout.resolve()
    command = ["git", "-C", str(before), "rev-parse", "HEAD"]
    earlier = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    data = read_data_set(data_root() / "data/magnetic-tile")
    pngs = sorted((data_root() / "data/mvtec-mini").glob("*/train/good/*.png"))
    jobs = {
        "load": ["load"] * options.loads,
        "score JPEG": [str(data.test[i].path) for i in range(options.rounds)],
        "score PNG": [str(pngs[i % len(pngs)]) for i in range(options.rounds)],
    }
    with tempfile.TemporaryDirectory() as folder:
        artifact = Path(folder) / "tiles.edgead"
        good = data.good[: options.images + options.images // 16]
        make(before, good, artifact)
        head = Artifact.open(artifact).manifest.members[0].head
        assert isinstance(head, PatchSearchRecord), "it is PatchCore's"
        states = [State(before, artifact), State(ROOT, artifact)]
        measured = {name: alternate(states, each) for name, each in jobs.items()}
        for state in states:
            state.close()
        arguments = [str(artifact), str(pngs[0]), imagenet_resnet18()]
        fresh = {
            name: started(name, [before, ROOT], rounds, arguments, good[:90])
            for name, rounds in zip(FRESH, (20, 20, 12, options.fits), strict=True)
        }
    for name, pairs in fresh.items():
        times = np.array(pairs)
        found = (times[:, 1] / times[:, 0]).tolist()
        print(f"{name}: after / before {np.median(found):.3f}, {np.median(times, axis=0)} ms")
    for name, samples in measured.items():
        wall, cpu = ratios(samples, 0), ratios(samples, 1)
        print(f"{name}: after / before, wall {wall:.3f}, processor {cpu:.3f} (medians of pairs)")
    content = {"before": earlier, "bank_rows": head.bank.rows, "wall_cpu_score": measured}
    write_record("before", commit, {**content, "fresh_ms": fresh})


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--images", type=int, default=320, help="in the bank")
    parser.add_argument("--rounds", type=int, default=120, help="images of each format, scored")
    parser.add_argument("--loads", type=int, default=30)
    parser.add_argument("--fits", type=int, default=6)
    add_draft_option(parser)
    return parser.parse_args()


def started(
    name: str,
    checkouts: Sequence[Path],
    rounds: int,
    arguments: Sequence[str],
    good: Sequence[Path],
) -> list[list[float]]:
    """Milliseconds of a fresh process that does one thing, of each checkout, round by round."""
    paths = json.dumps([str(path) for path in good])
    found = []
    for i in range(rounds):
        took = {}
        for which in (0, 1) if i % 2 else (1, 0):
            command = [sys.executable, "-c", _CHECKOUT + FRESH[name], str(checkouts[which])]
            run = partial(
                subprocess.run, [*command, *arguments], input=paths, text=True, check=True,
                stdout=subprocess.DEVNULL, cwd=tempfile.gettempdir(),
            )  # fmt: skip
            took[which] = seconds(run)[0] * 1e3
        found.append([took[0], took[1]])
    return found


def make(checkout: Path, good: Sequence[Path], artifact: Path) -> None:
    """Have a checkout fit good images and export the artifact."""
    arguments = [str(checkout), imagenet_resnet18(), str(artifact)]
    paths = json.dumps([str(path) for path in good])
    # in a folder where no module hides the checkout's
    subprocess.run(
        [sys.executable, "-c", MAKE, *arguments],
        input=paths,
        text=True,
        check=True,
        cwd=artifact.parent,
    )


def alternate(states: Sequence[State], jobs: Sequence[str]) -> list[list[list[Any]]]:
    """Per job what each state answers, in the order of ``states``."""
    for state in states:
        state.ask(jobs[0])
    found = []
    for i, job in enumerate(jobs):
        answers = {}
        for which in (0, 1) if i % 2 else (1, 0):
            time.sleep(PAUSE_S)
            answers[which] = states[which].ask(job)
        assert answers[0][2] == answers[1][2] or job == "load", f"{job}: {answers}"
        found.append([answers[0], answers[1]])
    return found


def ratios(samples: list[list[list[Any]]], column: int) -> float:
    """Median over the jobs of what the second state took, relative to the first."""
    return float(np.median([after[column] / before[column] for before, after in samples]))


if __name__ == "__main__":
    main()
