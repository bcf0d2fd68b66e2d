"""Pictures of a prediction: the image, the heat on it, and what the detector says."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.errors import ConfigError
from edge_ad_runtime.images import RGBImage
from edge_ad_runtime.images.preprocess import Preprocessing
from edge_ad_runtime.prediction import Prediction

_GREEN, _RED, _WHITE = (40, 160, 60), (215, 50, 40), (255, 255, 255)
_BLUE, _YELLOW, _BLACK = (40, 120, 255), (255, 220, 0), (0, 0, 0)
_LONGEST_SIDE_PX = 640
_CAPTION_PX = 30
_PLAIN, _FULL = 0.8, 1.4  # of the threshold: where colour begins, and where it is full
_TINY = 1e-12


def draw_overlay(
    image: RGBImage,
    prediction: Prediction,
    preprocessing: Preprocessing,
    *,
    truth: NDArray[np.bool_] | None = None,
) -> RGBImage:
    """The image beside the same image under its anomaly map, with the verdict above.

    Colour is absolute. It is transparent at 0.8 times the threshold and below, and full at 1.4
    times the threshold, so that good images look plain and two pictures can be compared. Where
    scores are decades, it is transparent 5 decades below the threshold, and full 10 above it. A
    contour marks where the map is above the threshold, and a box each region. A map in another unit
    than the score has no threshold, so it is shown of anomalous images alone, full at its largest
    value and without a contour. Parts of the image outside the inspected cut are darkened. Of an
    anomalous image a yellow box marks the patch that decided: the map is smoothed and may be below
    the threshold everywhere.

    Args:
        image: ``(H, W, 3)`` uint8 RGB, as the camera gave it.
        prediction: the prediction for that image, with its map.
        preprocessing: the artifact's preprocessing, by which the map is placed on the image.
        truth: ``(H, W)`` of the image, true where the part is known to be defective. It is outlined
            in blue on both pictures.

    Returns:
        An RGB image that is at most about 1,300 pixels wide.

    Raises:
        ConfigError: the prediction has no map.
    """
    left, right = _small(image), draw_heat(image, prediction, preprocessing)
    if truth is not None:
        size = _size_of_picture(image)
        # a defect of a few pixels must not vanish in a smaller picture
        shown = cv2.resize(truth.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0
        for picture in (left, right):
            _outline(picture, shown, _BLUE)
    return _caption(np.hstack([left, right]), prediction)


def draw_heat(image: RGBImage, prediction: Prediction, preprocessing: Preprocessing) -> RGBImage:
    """The image under its anomaly map, with contours and regions: `draw_overlay` without the rest.

    Returns:
        An RGB image of the image's shape that is at most 640 pixels wide or high.

    Raises:
        ConfigError: the prediction has no map.
    """
    if prediction.map is None:
        raise ConfigError(
            "this prediction has no map to draw: it was made with with_map=False, or the artifact "
            "maps anomalous images alone"
        )
    heat, inspected = preprocessing.back_on(_relative(prediction, prediction.map), image.shape[:2])
    scale, size = _scale(image), _size_of_picture(image)
    relative = np.asarray(cv2.resize(heat, size), np.float32)
    right = _paint(_small(image), relative)
    if prediction.mask is not None:
        _outline(right, relative > 1)
    right[cv2.resize(inspected, size, interpolation=cv2.INTER_NEAREST) == 0] //= 3
    for region in prediction.regions or ():
        top, left, rows, cols = (round(side * scale) for side in region.box)
        cv2.rectangle(right, (left, top), (left + cols, top + rows), _WHITE, 1)
    if prediction.deciding is not None and prediction.verdict == "anomalous":
        _mark(right, [round(side * scale) for side in prediction.deciding])
    return right


def draw_side_by_side(
    image: RGBImage, predictions: Sequence[tuple[str, Prediction, Preprocessing]]
) -> RGBImage:
    """The image under one anomaly map beside the same image under another, to compare them.

    Colours are those of `draw_overlay`, each relative to its own threshold. A prediction without a
    map is drawn as the image alone.

    Args:
        image: ``(H, W, 3)`` uint8 RGB, as the camera gave it.
        predictions: for each picture a title, the prediction for that image, and the preprocessing
            by which its map is placed on the image.

    Returns:
        An RGB image. Each picture is at most about 640 pixels wide, and has a strip with its title,
        verdict, score and threshold above.
    """
    return np.hstack(
        [
            _caption(
                _small(image)
                if prediction.map is None
                else draw_heat(image, prediction, preprocessing),
                prediction,
                title,
            )
            for title, prediction, preprocessing in predictions
        ]
    )


def draw_verdict(image: RGBImage, prediction: Prediction) -> RGBImage:
    """The image alone, with the verdict above: for predictions that have no map."""
    return _caption(_small(image), prediction)


def _small(image: RGBImage) -> RGBImage:
    """The image in the size in which it is drawn."""
    size = _size_of_picture(image)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _mark(picture: RGBImage, box: Sequence[int]) -> None:
    """Draw a yellow box between two black ones, which is seen on any image."""
    top, left, rows, cols = box
    for away, colour in ((1, _BLACK), (3, _BLACK), (2, _YELLOW)):
        corners = (left - away, top - away), (left + cols + away, top + rows + away)
        cv2.rectangle(picture, corners[0], corners[1], colour, 1)


def _scale(image: RGBImage) -> float:
    """How large an image is drawn."""
    return min(1.0, _LONGEST_SIDE_PX / float(max(image.shape[:2])))


def _size_of_picture(image: RGBImage) -> tuple[int, int]:
    """Width and height in which an image is drawn."""
    scale = _scale(image)
    return max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))


def _relative(prediction: Prediction, heat: NDArray[np.float32]) -> NDArray[np.float32]:
    """The map in units of the threshold. Decades have none: 25 of them are taken for one.

    Of a map in another unit the largest value is what is painted in full, if the image is
    anomalous.
    """
    if prediction.significance is not None:
        return np.asarray(1 + (prediction.significance - prediction.threshold) / 25, np.float32)
    if prediction.map_in_unit_of_score:
        return np.asarray(heat / max(prediction.threshold, _TINY), np.float32)
    if prediction.verdict == "good":
        return np.zeros_like(heat)
    return np.asarray(_FULL * heat / max(float(heat.max()), _TINY), np.float32)


def _paint(image: RGBImage, relative: NDArray[np.float32]) -> RGBImage:
    """Paint the heat, which is in units of the threshold, over the image."""
    strength = np.clip((relative - _PLAIN) / (_FULL - _PLAIN), 0, 1)[..., np.newaxis]
    levels = (strength[..., 0] * 155 + 100).astype(np.uint8)
    colours = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_TURBO), cv2.COLOR_BGR2RGB)
    opacity = 0.65 * np.minimum(1, 2 * strength)
    return np.asarray(image * (1 - opacity) + colours * opacity, np.uint8)


def _outline(
    picture: RGBImage, mask: NDArray[np.bool_], colour: tuple[int, int, int] = _RED
) -> None:
    """Draw a line around each part of the mask."""
    contours, _ = cv2.findContours(
        mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
    )
    cv2.drawContours(picture, contours, -1, colour, 1, cv2.LINE_AA)


def _caption(picture: RGBImage, prediction: Prediction, title: str = "") -> RGBImage:
    colour = _RED if prediction.verdict == "anomalous" else _GREEN
    strip = np.full((_CAPTION_PX, picture.shape[1], 3), colour, np.uint8)
    sign = ">" if prediction.verdict == "anomalous" else "<="
    begin = f"{title}: " if title else ""
    text = f"{begin}{prediction.verdict}  {prediction.score:.3g} {sign} {prediction.threshold:.3g}"
    cv2.putText(strip, text, (8, 21), cv2.FONT_HERSHEY_SIMPLEX, 0.55, _WHITE, 1, cv2.LINE_AA)
    return np.vstack([strip, picture])
