"""Our side of `benchmarks.peers`, run where only the runtime is installed.

python -m benchmarks.peers.children.edge_ad ARTIFACT ENGINE IMAGES.npy
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from benchmarks.peers.process import Predict, serve


def main() -> None:
    artifact, engine, images = sys.argv[1:]
    serve(lambda: load(artifact, engine), Path(images))


def load(artifact: str, engine: Any) -> Predict:
    from edge_ad_runtime import Detector

    detector = Detector.load(artifact, engine=engine)
    return lambda images: [detector.predict(image).score for image in images]


if __name__ == "__main__":
    main()
