"""What every record holds, where it goes, and where the real data are."""

from __future__ import annotations

import json
import os
import subprocess
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from edge_ad_runtime.device.settings import machine

RESULTS = Path(__file__).parent / "results"
_PACKAGES = ("torch", "numpy", "onnx", "onnxruntime", "hnswlib", "opencv-python-headless", "scipy")


def data_root() -> Path:
    """The folder with ``data/`` and ``weights/``, from EDGE_AD_DATA."""
    if "EDGE_AD_DATA" not in os.environ:
        raise SystemExit("set EDGE_AD_DATA to the folder that holds data/ and weights/")
    return Path(os.environ["EDGE_AD_DATA"]).resolve()


def imagenet_resnet18() -> str:
    """Path of the ImageNet ResNet18 weights."""
    return str(data_root() / "weights/resnet18_imagenet_layers1-3.safetensors")


def write_record(name: str, content: dict[str, Any]) -> None:
    """Write ``results/NAME.json`` with the machine, commit and versions beside the content."""
    record = {
        "benchmark": name,
        "machine": machine(),
        "commit": _git("rev-parse", "HEAD") + (" modified" if _git("status", "-s") else ""),
        "versions": {d.name: d.version for d in distributions() if d.name in _PACKAGES},
        **content,
    }
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {path.relative_to(Path.cwd())}")


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
