"""Images that come as arrays: of a camera's driver, of OpenCV, grey or in colour."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from edge_ad_runtime.errors import ConfigError, ImageError
from edge_ad_runtime.images.decode import RGBImage

Channels = Literal["rgb", "bgr"]


def as_rgb(image: Any, channels: Channels = "rgb") -> RGBImage:
    """An array as the network takes it. Grey is repeated to three channels, as it is of files.

    Args:
        image: ``(H, W, 3)`` uint8, or ``(H, W)`` or ``(H, W, 1)`` grey.
        channels: the order of the colours. OpenCV's ``imread`` and ``VideoCapture`` give ``bgr``.

    Returns:
        ``(H, W, 3)`` uint8, RGB.

    Raises:
        ImageError: it is no such array.
        ConfigError: there is no such order.
    """
    if channels not in get_args(Channels):
        raise ConfigError(f"channels is {channels!r}; it must be one of rgb, bgr")
    if image is None:
        raise ImageError(
            "expected an image, got None; cv2.imread gives None of a file that it cannot read: "
            "give the path instead, which says why"
        )
    if not isinstance(image, np.ndarray):
        raise ImageError(f"expected an (H, W, 3) uint8 array or a path, got {type(image).__name__}")
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or 0 in image.shape:
        raise _unusable(image)
    if image.ndim == 2:
        image = image[..., np.newaxis]
    if image.shape[2] == 1:
        return np.repeat(image, 3, axis=2)
    if image.shape[2] != 3:
        raise _unusable(image)
    return image if channels == "rgb" else np.ascontiguousarray(image[..., ::-1])


def _unusable(image: NDArray[Any]) -> ImageError:
    return ImageError(
        f"expected an (H, W, 3) uint8 array, or (H, W) of grey, got {image.dtype} of shape "
        f"{image.shape}"
    )
