"""The picture of docs/methods.md: python -m benchmarks.methods.energy_picture.

Drawn plates, a good one and one with each defect. From left to right: the image, the gradient of
the energy as the network gives it, the map, and PatchCore's map. Maps are in units of their own
threshold and painted alike: dark is 0, and full colour is 1.5 times the threshold. The gradient has
no threshold, and is painted up to its largest value of all images.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.harness.record import RESULTS, imagenet_resnet18
from edge_ad import EnergyConfig, PatchCoreConfig, ReferenceDetector, fit
from edge_ad.methods.settings import FitSettings
from edge_ad.synthetic.parts import DEFECTS, write_parts
from edge_ad_runtime.images import RGBImage, read_image

_SIDE_PX = 168
_GAP_PX = 4
_HEAD_PX = 24
_FULL = 1.5  # thresholds
_COLUMNS = ("image", "energy gradient", "its map", "PatchCore's map")
_GOOD = 60


def main() -> None:
    weights = imagenet_resnet18()
    energy = EnergyConfig(backbone="resnet18", weights=weights)
    patchcore = PatchCoreConfig(backbone="resnet18", weights=weights)
    with tempfile.TemporaryDirectory() as name:
        parts = Path(name)
        write_parts(parts, good=_GOOD, test_good=1, per_defect=1)
        images = [read_image(parts / f"test/{kind}/000.png") for kind in ("good", *DEFECTS)]
        gradients, maps = _seen(parts / "train/good", energy, images)
        _, others = _seen(parts / "train/good", patchcore, images)
    largest = max(float(gradient.max()) for gradient in gradients)
    rows = [
        [_small(image), *(_painted(heat) for heat in (gradient / largest, own, other))]
        for image, gradient, own, other in zip(images, gradients, maps, others, strict=True)
    ]
    out = RESULTS / "energy.jpg"
    cv2.imwrite(str(out), cv2.cvtColor(_laid_out(rows), cv2.COLOR_RGB2BGR))
    print(f"wrote {out}")


def _seen(
    good: Path, config: FitSettings, images: list[RGBImage]
) -> tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]]:
    """Of each image the gradient, if the method has one, and the map, as a share of full colour."""
    fitted = fit(good, config, progress=True)
    reference = ReferenceDetector(fitted)
    traces = [reference.trace(image) for image in images]
    full = _FULL * fitted.calibration.threshold
    gradients = [trace.get("gradient", trace["map"]) for trace in traces]
    return gradients, [np.asarray(trace["map"] / full, np.float32) for trace in traces]


def _small(image: RGBImage) -> RGBImage:
    small = cv2.resize(image, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)


def _painted(heat: NDArray[np.floating]) -> RGBImage:
    levels = np.asarray(np.clip(heat, 0, 1) * 255, np.uint8)
    large = cv2.resize(levels, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_NEAREST)
    return np.asarray(
        cv2.cvtColor(cv2.applyColorMap(large, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB), np.uint8
    )


def _laid_out(rows: list[list[RGBImage]]) -> RGBImage:
    step = _SIDE_PX + _GAP_PX
    sheet = np.full((_HEAD_PX + len(rows) * step, len(_COLUMNS) * step - _GAP_PX, 3), 255, np.uint8)
    for col, title in enumerate(_COLUMNS):
        at = (col * step + 4, 17)
        cv2.putText(sheet, title, at, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (30, 30, 30), 1, cv2.LINE_AA)
        for row, tiles in enumerate(rows):
            top, left = _HEAD_PX + row * step, col * step
            sheet[top : top + _SIDE_PX, left : left + _SIDE_PX] = tiles[col]
    return sheet


if __name__ == "__main__":
    main()
