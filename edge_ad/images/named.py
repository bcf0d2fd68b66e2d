"""Good images by name: a path, or a URL such as ``s3://bucket/part/0001.png`` (fsspec)."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

from edge_ad.images.good import list_images
from edge_ad_runtime.errors import ConfigError, FitError, ImageError
from edge_ad_runtime.images import IMAGE_SUFFIXES, RGBImage
from edge_ad_runtime.images.decode import MAX_PIXELS, MOST_BYTES, decode_image
from edge_ad_runtime.images.preprocess import Preprocessing
from edge_ad_runtime.regular_file import read_regular


def is_url(name: str) -> bool:
    """Whether a name is a URL, and not a path of this machine."""
    return "://" in name


def list_named(folder: str, pattern: str = "*") -> list[str]:
    """The names of the images directly in a folder, sorted.

    Args:
        folder: a path or a URL.
        pattern: a glob for the names, such as ``*.jpg``.

    Raises:
        FitError: there is no such folder, or no image in it.
        ConfigError: the URL needs a package that is not installed.
    """
    if not is_url(folder):
        return [str(path) for path in list_images(Path(folder), pattern)]
    system, path = _opened(folder)
    try:
        names = [PurePosixPath(entry) for entry in system.ls(path, detail=False)]
    except Exception as exc:  # each store raises its own
        raise FitError(f"{folder}: cannot be listed: {_reason(exc)}") from exc
    found = [n for n in names if n.suffix.lower() in IMAGE_SUFFIXES and n.match(pattern)]
    if not found:
        raise FitError(f"{folder}: no images named {pattern} directly in this folder")
    return sorted(system.unstrip_protocol(str(name)) for name in found)


def read_named(name: str) -> bytes:
    """The bytes of an image file.

    Raises:
        ImageError: it cannot be read.
        ConfigError: the URL needs a package that is not installed.
    """
    try:
        if not is_url(name):
            return read_regular(Path(name), most_bytes=MOST_BYTES)
        system, path = _opened(name)
        data: bytes = system.cat_file(path)
        return data
    except ConfigError:
        raise
    except OSError as exc:
        raise ImageError(f"{name}: cannot be read: {exc.strerror or exc}") from exc
    except Exception as exc:  # each store raises its own
        raise ImageError(f"{name}: cannot be read: {_reason(exc)}") from exc


def decode_named(name: str, data: bytes) -> RGBImage:
    """The image in the bytes of a file.

    Raises:
        ImageError: see `decode_image`. The error names the file.
    """
    try:
        return decode_image(data, max_pixels=MAX_PIXELS)
    except ImageError as exc:
        raise ImageError(f"{name}: {exc}") from exc


def preprocessed(name: str, data: bytes, preprocessing: Preprocessing) -> RGBImage:
    """The image in the bytes of a file, as the network takes it.

    Raises:
        ImageError: the bytes are no image, or not one of a usable shape. The error names the file.
    """
    image = decode_named(name, data)
    try:
        return preprocessing.apply(image)
    except ImageError as exc:
        raise ImageError(f"{name}: {exc}") from exc


def _opened(url: str) -> tuple[Any, str]:
    """The file system of a URL, and the path in it."""
    try:
        import fsspec
    except ImportError as exc:
        raise ConfigError(f"{url} is a URL; pip install 'edge-ad[urls]'") from exc
    try:
        system, path = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as exc:
        raise ConfigError(f"{url}: {_reason(exc)}") from exc
    return system, path


def _reason(exc: Exception) -> str:
    return (str(exc) or type(exc).__name__).splitlines()[0]
