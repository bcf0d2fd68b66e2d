"""What this machine is."""

from __future__ import annotations

import os
import platform
from pathlib import Path

_WIDE_SUMS = {"avx512_vnni", "avx_vnni", "amx_int8"}  # the flags of x86 that stand for wide sums


def machine() -> dict[str, str | int]:
    """A description of this machine, which figures are reported with."""
    cpu = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text(errors="replace").splitlines()
        cpu = next((line.split(":", 1)[1].strip() for line in lines if "model name" in line), cpu)
    return {
        "cpu": cpu,
        "cores": os.cpu_count() or 1,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def saturates_int8(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool | None:
    """Whether sums of 8-bit products may be cut off on this processor, or None if it does not say.

    x86 without VNNI adds products in pairs, in 16 bits (by ``vpmaddubsw``, in ONNX Runtime and in
    OpenVINO). Two products of 255 x 127 are more than 16 bits hold. With weights of 7 bits the
    products are at most 255 x 64, and two of them always fit. On ARM the engines' sums are wide
    enough.
    """
    if not cpuinfo.exists():
        return None
    lines = cpuinfo.read_text(errors="replace").splitlines()
    if any(line.startswith("Features") for line in lines):  # ARM's word for flags
        return False
    flags = {flag for line in lines if line.startswith("flags") for flag in line.split()}
    return not flags & _WIDE_SUMS if flags else None
