"""Find the image files of a folder, and write an image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2

from edge_ad_runtime.errors import ConfigError, ImageError
from edge_ad_runtime.images.decode import RGBImage

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})

_NAMED = 5  # folders in a message


def expand_folders(paths: Iterable[Path], *, recursive: bool = False) -> Iterator[Path]:
    """Give each file as it is, and in place of a folder the images in it, sorted.

    A folder that cannot be listed is given as it is, because reading it will say why.

    Args:
        paths: files and folders. They are taken one by one, so that they may come as lines do.
        recursive: whether the images of the folders in a folder are given too.

    Raises:
        ConfigError: a folder has no images. The error names the folders in it.
    """
    for path in paths:
        try:
            within = path.rglob("*") if recursive else path.iterdir()
            entries = sorted(within) if path.is_dir() else [path]
        except (OSError, ValueError):  # no permission, or a name that is too long or has a NUL
            entries = [path]
        if entries == [path]:
            yield path
            continue
        found = [entry for entry in entries if entry.suffix.lower() in IMAGE_SUFFIXES]
        if not found:
            kinds = ", ".join(sorted(suffix[1:] for suffix in IMAGE_SUFFIXES))
            raise ConfigError(f"{path}: no images in this folder{_folders(entries)} ({kinds})")
        yield from found


def _folders(entries: Iterable[Path]) -> str:
    names = [entry.name for entry in entries if entry.is_dir()]
    if not names:
        return ""
    rest = ", ..." if len(names) > _NAMED else ""
    return f"; it holds the folders {', '.join(names[:_NAMED])}{rest}: give one, or --recursive"


def write_png(path: Path, image: RGBImage) -> None:
    """Write an RGB image as PNG, whole or not at all, making its folder.

    Raises:
        ImageError: it cannot be written.
    """
    ok, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    if not ok:
        raise ImageError(f"OpenCV cannot encode an image of shape {image.shape}", path=path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            try:
                file.write(data.tobytes())
                file.flush()
            except OSError:
                path.unlink(missing_ok=True)
                raise
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else exc
        raise ImageError(f"cannot be written: {reason}", path=path) from exc
