"""The environments that the peers run in: made anew, or given."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.process import ROOT
from benchmarks.peers.process import Module, PeerError, last_line

INSPECTION = "patchcore-inspection"
ENVIRONMENTS = {
    "onnxruntime": (f"{ROOT}/runtime[cpu]",),
    "openvino": (f"{ROOT}/runtime[openvino]",),
    "anomalib": ("anomalib[cpu,openvino]",),
    "onnxruntime alone": ("onnxruntime",),
    INSPECTION: ("faiss-cpu", "safetensors", "scipy", "timm", "torch", "torchvision", "tqdm"),
}


@dataclass(frozen=True, kw_only=True)
class Environment:
    """Where ways run.

    Attributes:
        python: its interpreter.
        refused: why it could not be made; None: it is there.
    """

    python: Path
    refused: str | None = None

    def start(self, folder: Path, *command: str) -> Module:
        """Run a module of this folder in it.

        Raises:
            PeerError: it could not be made.
        """
        if self.refused is not None:
            raise PeerError(self.refused)
        return Module(self.python, folder, *command)


def add_options(parser: argparse.ArgumentParser) -> None:
    """How many images are fitted and scored, and which environments are there."""
    parser.add_argument("--images", type=int, default=320, help="in the bank; a multiple of 16")
    parser.add_argument("--test-images", type=int, default=100, help="half of them defective")
    parser.add_argument(
        "--python",
        nargs=2,
        action="append",
        default=[],
        metavar=("ENVIRONMENT", "INTERPRETER"),
        help=f"instead of making it: an environment that is there ({', '.join(ENVIRONMENTS)})",
    )


def environments(
    names: Iterable[str], options: argparse.Namespace, folder: Path
) -> dict[str, Environment]:
    """The environments of these names; those that are not there yet are made."""
    there = {name: Environment(python=Path(p).absolute()) for name, p in options.python}
    if unknown := there.keys() - ENVIRONMENTS.keys():
        raise SystemExit(f"no such environment: {', '.join(unknown)}")
    return {
        name: there.get(name) or make_environment(folder / name, ENVIRONMENTS[name])
        for name in names
    }


def make_environment(folder: Path, requirements: Sequence[str]) -> Environment:
    """A new environment with what is required."""
    print("installing", *requirements, flush=True)
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin/python"
    pip = [str(python), "-m", "pip", "install", "--quiet"]
    command = [*pip, "--constraint", str(ROOT / "constraints.txt"), *requirements]
    installed = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    print(installed.stderr, file=sys.stderr, end="")
    if installed.returncode != 0:
        refused = f"pip install {' '.join(requirements)}: {last_line(installed.stderr)}"
        return Environment(python=python, refused=refused)
    return Environment(python=python)


def size_bytes(python: Path) -> int:
    """Of all files of the environment that an interpreter belongs to."""
    files = (path.lstat() for path in python.parents[1].rglob("*") if not path.is_dir())
    return sum(file.st_size for file in files)
