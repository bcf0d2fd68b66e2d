"""A GigE Vision or USB3 Vision camera through the Aravis library, by ctypes.

No binding has to be installed beside the library itself (``apt install libaravis-0.8-0``). A camera
that is unplugged does not say so: its pictures stop, or its control channel is lost. Both count.
"""

from __future__ import annotations

import ctypes
import functools
import time
from ctypes import POINTER, c_char_p, c_double, c_int, c_size_t, c_uint, c_uint64, c_void_p
from typing import Any

import cv2
import numpy as np

from edge_ad_line.cameras.camera import CameraError, Frame
from edge_ad_line.config import AravisCamera
from edge_ad_runtime.images import RGBImage

_LIBRARIES = ("libaravis-0.8.so.0", "libaravis-0.8.so")
_FAKE = "Fake_"  # devices of the library itself, for tests
_BUFFERS = 8
_SUCCESS = 0
# The numbers of pixel formats in GenICam's naming convention, and what turns them into RGB.
_TO_RGB: dict[int, int | None] = {
    0x01080001: cv2.COLOR_GRAY2RGB,  # Mono8
    0x02180014: None,  # RGB8
    0x02180015: cv2.COLOR_BGR2RGB,  # BGR8
    0x01080008: cv2.COLOR_BayerGRBG2RGB,  # BayerGR8
    0x01080009: cv2.COLOR_BayerRGGB2RGB,  # BayerRG8
    0x0108000A: cv2.COLOR_BayerGBRG2RGB,  # BayerGB8
    0x0108000B: cv2.COLOR_BayerBGGR2RGB,  # BayerBG8
}
_CHANNELS = {0x02180014: 3, 0x02180015: 3}
_CONTROL_LOST = ctypes.CFUNCTYPE(None, c_void_p, c_void_p)


class _Error(ctypes.Structure):
    _fields_ = (("domain", ctypes.c_uint32), ("code", c_int), ("message", c_char_p))


class Aravis:
    """See `AravisCamera`."""

    pause_s = 0.0
    waits = False

    def __init__(self, config: AravisCamera) -> None:
        self._config = config
        # a camera that waits for its trigger is silent while no part comes
        is_silent = config.mode == "triggered"
        self.silence_s: float | None = None if is_silent else config.timeout_ms / 1000
        self._camera: int | None = None
        self._stream: int | None = None
        self._is_lost = False
        self._before_s = 0.0
        self._on_lost = _CONTROL_LOST(self._control_lost)  # kept, as the library calls it

    def open(self) -> None:
        """See `Camera`."""
        self.close()
        library = _library()
        name = self._config.device
        if name is not None and name.startswith(_FAKE):
            library.arv_enable_interface(b"Fake")
        self._is_lost = False
        self._camera = _call("arv_camera_new", None if name is None else name.encode())
        try:
            self._configure(self._camera)
            self._stream = _call("arv_camera_create_stream", self._camera, None, None)
            size_bytes = _call("arv_camera_get_payload", self._camera)
            for _ in range(_BUFFERS):
                buffer = library.arv_buffer_new_allocate(size_bytes)
                library.arv_stream_push_buffer(self._stream, buffer)
            device = library.arv_camera_get_device(self._camera)
            library.g_signal_connect_data(device, b"control-lost", self._on_lost, None, None, 0)
            _call("arv_camera_start_acquisition", self._camera)
        except BaseException:
            self.close()
            raise
        self._before_s = time.monotonic()

    def grab(self, timeout_s: float) -> Frame | None:
        """See `Camera`. A picture of which packets were lost is no picture."""
        if self._stream is None or self._is_lost:
            raise CameraError(f"{self._name}: the connection to the camera is lost")
        library = _library()
        buffer = library.arv_stream_timeout_pop_buffer(self._stream, int(timeout_s * 1e6))
        if not buffer:
            return None
        try:
            if library.arv_buffer_get_status(buffer) != _SUCCESS:
                return None
            pixels = self._pixels(buffer)
        finally:
            library.arv_stream_push_buffer(self._stream, buffer)
        begun, self._before_s = self._before_s, time.monotonic()
        return Frame(begun_s=begun, pixels=pixels)

    def close(self) -> None:
        """See `Camera`."""
        library = _library()
        if self._camera is not None and self._stream is not None:
            error = POINTER(_Error)()
            library.arv_camera_stop_acquisition(self._camera, ctypes.byref(error))
            if error:  # a camera that is gone cannot be told to stop
                library.g_error_free(error)
        for held in (self._stream, self._camera):
            if held is not None:
                library.g_object_unref(held)
        self._stream = self._camera = None

    @property
    def _name(self) -> str:
        return self._config.device or "the first Aravis camera"

    def _configure(self, camera: int) -> None:
        config = self._config
        _call("arv_camera_set_pixel_format_from_string", camera, config.pixels.encode())
        if config.exposure_us is not None:
            _call("arv_camera_set_exposure_time", camera, config.exposure_us)
        if config.mode == "triggered":
            _call("arv_camera_set_trigger", camera, config.line.encode())

    def _pixels(self, buffer: int) -> RGBImage:
        library, size = _library(), c_size_t()
        rows = library.arv_buffer_get_image_height(buffer)
        cols = library.arv_buffer_get_image_width(buffer)
        kind = library.arv_buffer_get_image_pixel_format(buffer)
        if kind not in _TO_RGB:
            raise CameraError(
                f"{self._name}: sends the pixel format {kind:#010x}, which is not read; set pixels"
            )
        channels = _CHANNELS.get(kind, 1)
        address = library.arv_buffer_get_image_data(buffer, ctypes.byref(size))
        if size.value < rows * cols * channels:
            raise CameraError(f"{self._name}: a picture of {rows} x {cols} is {size.value} bytes")
        content = ctypes.string_at(address, rows * cols * channels)  # a copy: the buffer goes back
        shape = (rows, cols) if channels == 1 else (rows, cols, channels)
        pixels = np.frombuffer(content, np.uint8).reshape(shape)
        code = _TO_RGB[kind]
        return pixels if code is None else np.asarray(cv2.cvtColor(pixels, code), np.uint8)

    def _control_lost(self, device: int, data: int) -> None:
        self._is_lost = True


@functools.cache
def _library() -> Any:
    """The library with the types of what is called.

    Raises:
        CameraError: it is not installed.
    """
    for name in _LIBRARIES:
        try:
            library = ctypes.CDLL(name)
            break
        except OSError:
            continue
    else:
        raise CameraError("the Aravis library is not installed: apt install libaravis-0.8-0")
    pointers = (
        "arv_camera_new", "arv_camera_create_stream", "arv_buffer_new_allocate",
        "arv_stream_timeout_pop_buffer", "arv_camera_get_device", "arv_buffer_get_image_data",
    )  # fmt: skip
    for name in pointers:
        getattr(library, name).restype = c_void_p
    error = POINTER(POINTER(_Error))
    arguments = {
        "arv_enable_interface": (c_char_p,),
        "arv_camera_new": (c_char_p, error),
        "arv_camera_create_stream": (c_void_p, c_void_p, c_void_p, error),
        "arv_camera_get_payload": (c_void_p, error),
        "arv_camera_get_device": (c_void_p,),
        "arv_camera_set_pixel_format_from_string": (c_void_p, c_char_p, error),
        "arv_camera_set_exposure_time": (c_void_p, c_double, error),
        "arv_camera_set_trigger": (c_void_p, c_char_p, error),
        "arv_camera_start_acquisition": (c_void_p, error),
        "arv_camera_stop_acquisition": (c_void_p, error),
        "arv_buffer_new_allocate": (c_size_t,),
        "arv_stream_push_buffer": (c_void_p, c_void_p),
        "arv_stream_timeout_pop_buffer": (c_void_p, c_uint64),
        "arv_buffer_get_status": (c_void_p,),
        "arv_buffer_get_image_height": (c_void_p,),
        "arv_buffer_get_image_width": (c_void_p,),
        "arv_buffer_get_image_pixel_format": (c_void_p,),
        "arv_buffer_get_image_data": (c_void_p, POINTER(c_size_t)),
        "g_object_unref": (c_void_p,),
        "g_error_free": (POINTER(_Error),),
        "g_signal_connect_data": (c_void_p, c_char_p, _CONTROL_LOST, c_void_p, c_void_p, c_uint),
    }
    for name, kinds in arguments.items():
        getattr(library, name).argtypes = kinds
    library.arv_camera_get_payload.restype = c_uint
    library.arv_buffer_get_image_pixel_format.restype = ctypes.c_uint32
    library.g_signal_connect_data.restype = ctypes.c_ulong
    return library


def _call(name: str, *arguments: object) -> Any:
    """Call a function whose last argument is where it writes an error.

    Raises:
        CameraError: it has written one.
    """
    library, error = _library(), POINTER(_Error)()
    found = getattr(library, name)(*arguments, ctypes.byref(error))
    if error:
        message = error.contents.message.decode("utf-8", "backslashreplace")
        library.g_error_free(error)
        raise CameraError(f"Aravis: {message}")
    return found
