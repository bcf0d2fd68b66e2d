"""Where pictures come from. `make_camera` is the one place that knows all kinds."""

from __future__ import annotations

from collections.abc import Callable

from edge_ad_line.cameras.camera import Camera, CameraError, Frame
from edge_ad_line.config import CameraConfig, FolderCamera, HttpCamera, StreamCamera

__all__ = ["Camera", "CameraError", "Frame", "make_camera"]


def make_camera(config: CameraConfig, has_result: Callable[[str], bool]) -> Camera:
    """The camera of these settings. It is not opened, and its library is only now imported.

    Args:
        config: the settings.
        has_result: whether a source of this camera has a result already.
    """
    if isinstance(config, FolderCamera):
        from edge_ad_line.cameras.folder import Folder

        return Folder(config, has_result)
    if isinstance(config, HttpCamera):
        from edge_ad_line.cameras.http import Http

        return Http(config)
    if isinstance(config, StreamCamera):
        from edge_ad_line.cameras.stream import Stream

        return Stream(config)
    from edge_ad_line.cameras.aravis import Aravis

    return Aravis(config)
