"""What a person waits for: the commands on 320 images, and `stream` beside `predict`.

    python -m benchmarks.waits.measure [--rounds 3]

Every command is a process of its own, as it is typed. Images are magnetic tiles, the network is
ImageNet's ResNet18 at 224 px, and 10% of the patches are 25,088 rows. Arrays and files go through
`stream` and one by one through `predict` in turn: a block of images by one, the same by the other.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from pathlib import Path

from benchmarks.harness.clock import in_turn_ms, seconds
from benchmarks.harness.datasets import read_data_set
from benchmarks.harness.record import (
    add_draft_option,
    check_tree,
    data_root,
    imagenet_resnet18,
    write_record,
)
from edge_ad_runtime import Detector
from edge_ad_runtime.detector import ImageOrPath
from edge_ad_runtime.images import read_image

_IMAGES = 320
_BLOCK, _BLOCKS = 20, 10  # images and turns of `stream` and `predict`


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    add_draft_option(parser)
    options = parser.parse_args()
    commit = check_tree(draft=options.draft)
    data = read_data_set(data_root() / "data/magnetic-tile")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "good").mkdir()
        for path in islice(data.good, _IMAGES):
            (folder / "good" / path.name).symlink_to(path)
        commands_s = commands(folder, options.rounds)
        tested = [image.path for image in data.test[:_BLOCK]]
        with Detector.load(folder / "part.edgead") as detector:
            per_image_ms = {
                "arrays": stream_beside_predict(detector, [read_image(path) for path in tested]),
                "files": stream_beside_predict(detector, tested),
            }
    record = {"images": _IMAGES, "commands_s": commands_s, "per_image_ms": per_image_ms}
    print(record)
    write_record("waits", commit, record)


def commands(folder: Path, rounds: int) -> dict[str, list[float]]:
    """Seconds of each command, and an artifact ``part.edgead`` that they leave."""
    good, fitted, artifact = (str(folder / name) for name in ("good", "part.fit", "part.edgead"))
    typed = {
        "fit": ["fit", good, "--out", fitted, "--overwrite", "--weights", imagenet_resnet18()],
        "export": ["export", fitted, "--out", artifact, "--overwrite"],
        "verify": ["verify", artifact],
        "tune": ["tune", artifact],
    }
    found: dict[str, list[float]] = {name: [] for name in typed}
    for _ in range(rounds):
        for name, words in typed.items():
            found[name].append(seconds(partial(_run, words))[0])
    return found


def _run(words: Sequence[str]) -> None:
    subprocess.run(
        [str(Path(sys.executable).with_name("edge-ad")), *words],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def stream_beside_predict(
    detector: Detector, images: Sequence[ImageOrPath]
) -> dict[str, list[float]]:
    """Milliseconds an image of each block, by either way."""
    ways: dict[str, Callable[[Sequence[ImageOrPath]], object]] = {
        "predict": lambda block: [detector.predict(image) for image in block],
        "stream": lambda block: list(detector.stream(block)),
    }
    of_blocks_ms = in_turn_ms(ways, [images] * _BLOCKS)
    return {name: [ms / len(images) for ms in taken] for name, taken in of_blocks_ms.items()}


if __name__ == "__main__":
    main()
