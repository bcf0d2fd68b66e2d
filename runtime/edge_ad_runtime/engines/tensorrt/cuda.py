"""The little of CUDA that TensorRT needs around it, called in the driver itself by ctypes.

``libcuda.so.1`` is wherever a GPU can be used at all, and its versioned symbols have kept their
meaning since CUDA 11.4. libcudart and cuda-python would be more to install and have to match the
driver, and on a Jetson they come with JetPack or not at all.
"""

from __future__ import annotations

import ctypes
import math
import weakref
from collections.abc import Callable
from ctypes import POINTER, c_char_p, c_int, c_size_t, c_uint, c_uint64, c_ulonglong, c_void_p
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from edge_ad_runtime.errors import EngineError

DRIVER = "libcuda.so.1"

# CUdevice is an int, CUdeviceptr has 64 bits, and every other handle is a pointer (cuda.h)
_SIGNATURES: dict[str, tuple[Any, ...]] = {
    "cuInit": (c_uint,),
    "cuGetErrorString": (c_int, POINTER(c_char_p)),
    "cuDeviceGet": (POINTER(c_int), c_int),
    "cuDeviceGetName": (c_char_p, c_int, c_int),
    "cuDeviceGetAttribute": (POINTER(c_int), c_int, c_int),
    "cuDevicePrimaryCtxRetain": (POINTER(c_void_p), c_int),
    "cuCtxSetCurrent": (c_void_p,),
    "cuMemAlloc_v2": (POINTER(c_uint64), c_size_t),
    "cuMemFree_v2": (c_uint64,),
    "cuMemHostAlloc": (POINTER(c_void_p), c_size_t, c_uint),
    "cuMemFreeHost": (c_void_p,),
    "cuMemcpyHtoDAsync_v2": (c_uint64, c_void_p, c_size_t, c_void_p),
    "cuMemcpyDtoHAsync_v2": (c_void_p, c_uint64, c_size_t, c_void_p),
    "cuStreamCreate": (POINTER(c_void_p), c_uint),
    "cuStreamDestroy_v2": (c_void_p,),
    "cuStreamSynchronize": (c_void_p,),
    "cuStreamBeginCapture_v2": (c_void_p, c_int),
    "cuStreamEndCapture": (c_void_p, POINTER(c_void_p)),
    "cuGraphInstantiateWithFlags": (POINTER(c_void_p), c_void_p, c_ulonglong),
    "cuGraphLaunch": (c_void_p, c_void_p),
    "cuGraphDestroy": (c_void_p,),
    "cuGraphExecDestroy": (c_void_p,),
}
_OUT_OF_MEMORY = 2
_CAPABILITY_MAJOR, _CAPABILITY_MINOR = 75, 76
_PORTABLE = 1  # the memory is pinned for every context
_NON_BLOCKING = 1  # the stream does not wait for the default stream
_THREAD_LOCAL = 1  # other threads may allocate during a capture


class Gpu:
    """The first GPU that ``CUDA_VISIBLE_DEVICES`` shows, and one stream on it.

    Attributes:
        name: the GPU's name, such as ``NVIDIA L4``.
        capability: its compute capability, such as ``(8, 9)``.
        stream: the handle of the stream, which TensorRT takes as a number.
    """

    def __init__(self) -> None:
        """Open the GPU.

        Raises:
            EngineError: there is no driver or no GPU.
        """
        self._driver = _open_driver()
        device = c_int()
        self.call("cuDeviceGet", device, 0)
        name = ctypes.create_string_buffer(256)
        self.call("cuDeviceGetName", name, len(name), device)
        self.name = name.value.decode()
        major, minor = c_int(), c_int()
        self.call("cuDeviceGetAttribute", major, _CAPABILITY_MAJOR, device)
        self.call("cuDeviceGetAttribute", minor, _CAPABILITY_MINOR, device)
        self.capability = (major.value, minor.value)
        # TensorRT works in the primary context, which stays as long as the process
        self._context = c_void_p()
        self.call("cuDevicePrimaryCtxRetain", self._context, device)
        self.enter()
        stream = c_void_p()
        self.call("cuStreamCreate", stream, _NON_BLOCKING)
        assert stream.value is not None, "a stream has a handle"
        self.stream = stream.value
        weakref.finalize(self, self._driver.cuStreamDestroy_v2, self.stream)

    def enter(self) -> None:
        """Make it the calling thread's GPU. Each thread must do so before anything else."""
        self.call("cuCtxSetCurrent", self._context)

    def synchronize(self) -> None:
        """Wait until the stream has done its work. The work's errors are raised here."""
        self.call("cuStreamSynchronize", self.stream)

    def capture(self, work: Callable[[], None]) -> Callable[[], None]:
        """Record what ``work`` puts on the stream as a CUDA graph, and give what launches it.

        Nothing runs while it is recorded. The addresses and sizes stay those of the recording.
        """
        graph, executable = c_void_p(), c_void_p()
        self.call("cuStreamBeginCapture_v2", self.stream, _THREAD_LOCAL)
        try:
            work()
        finally:
            self.call("cuStreamEndCapture", self.stream, graph)
        self.call("cuGraphInstantiateWithFlags", executable, graph, 0)
        self.call("cuGraphDestroy", graph)

        def launch() -> None:
            self.call("cuGraphLaunch", executable, self.stream)

        weakref.finalize(launch, self.release, "cuGraphExecDestroy", executable)
        return launch

    def release(self, function: str, handle: c_void_p | c_uint64) -> None:
        """Free what a driver's function made, from whichever thread collects garbage."""
        self._driver.cuCtxSetCurrent(self._context)
        getattr(self._driver, function)(handle)

    def call(self, name: str, *arguments: Any) -> None:
        """Call one of the driver's functions.

        Raises:
            EngineError: the function says that it has failed, for want of memory or otherwise.
        """
        code = getattr(self._driver, name)(*arguments)
        if code == _OUT_OF_MEMORY:
            raise EngineError(
                f"the memory of {self.name} is exhausted ({name}); end other programs that use "
                "it, or run edge-ad compile with a smaller --max-batch"
            )
        _check(self._driver, name, code)


class Buffer:
    """An array that is there twice: in pinned memory as ``host``, and on the GPU at ``address``.

    Copies between the two are put on the stream, so they are done after `Gpu.synchronize`.
    """

    def __init__(self, gpu: Gpu, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        self._gpu = gpu
        size_bytes = math.prod(shape) * np.dtype(dtype).itemsize
        pinned, address = c_void_p(), c_uint64()
        gpu.call("cuMemHostAlloc", pinned, size_bytes, _PORTABLE)
        weakref.finalize(self, gpu.release, "cuMemFreeHost", pinned)
        gpu.call("cuMemAlloc_v2", address, size_bytes)
        weakref.finalize(self, gpu.release, "cuMemFree_v2", address)
        assert pinned.value is not None, "pinned memory has an address"
        memory = memoryview((ctypes.c_uint8 * size_bytes).from_address(pinned.value))
        self.host: NDArray[Any] = np.frombuffer(memory, dtype).reshape(shape)
        self.address = address.value

    def upload(self, count: int) -> None:
        """Copy the first ``count`` items to the GPU."""
        part = self.host[:count]
        self._gpu.call(
            "cuMemcpyHtoDAsync_v2", self.address, part.ctypes.data, part.nbytes, self._gpu.stream
        )

    def download(self, count: int) -> None:
        """Copy the first ``count`` items from the GPU."""
        part = self.host[:count]
        self._gpu.call(
            "cuMemcpyDtoHAsync_v2", part.ctypes.data, self.address, part.nbytes, self._gpu.stream
        )


def _open_driver() -> Any:
    try:
        driver = ctypes.CDLL(DRIVER)
        for name, argtypes in _SIGNATURES.items():
            getattr(driver, name).argtypes = argtypes
    except (OSError, AttributeError) as exc:
        raise EngineError(f"no usable NVIDIA driver here: {exc}") from exc
    _check(driver, "cuInit", driver.cuInit(0))
    return driver


def _check(driver: Any, name: str, code: int) -> None:
    if code != 0:
        text = c_char_p()
        driver.cuGetErrorString(code, text)
        reason = text.value.decode() if text.value else "unknown"
        raise EngineError(f"CUDA's {name} failed: {reason} (error {code})")
