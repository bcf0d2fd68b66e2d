"""Clocks, temperatures and power, as far as the platform shows them. The rest is left out.

Linux shows them in files, which Documentation/ABI in the kernel describes. On a Jetson these
include the power rails. NVIDIA's driver shows them through ``nvidia-smi``. A profile on a hot
device is told from one on a cool device by a clock that is below its maximum under load, or by the
driver's reason for that.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

_SMI_FIELDS = (
    "name", "clocks.sm", "clocks.max.sm", "temperature.gpu", "power.draw",
    "clocks_throttle_reasons.active",
)  # fmt: skip
# The last field is a sum of these bits, which NVML defines. GpuIdle (1) is left out.
_SLOWED_BY = {
    0x2: "application clocks",
    0x4: "power cap",
    0x8: "hardware slowdown",
    0x10: "sync boost",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "hardware power brake",
    0x100: "display clocks",
}


@dataclass(frozen=True, kw_only=True)
class GPUState:
    """One NVIDIA card. A field is None where the driver does not say.

    Attributes:
        slowed_by: the reasons why its clock is held down at this moment.
    """

    name: str
    clock_mhz: float | None
    max_clock_mhz: float | None
    temperature_celsius: float | None
    power_watts: float | None
    slowed_by: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class MachineState:
    """What the machine shows at one moment. A field is empty where the machine shows nothing.

    Attributes:
        cpu_mhz: the clock of each core.
        cpu_max_mhz: the highest clock that each core can have.
        cpu_governors: the kernel's governors, which decide on the clocks.
        device_mhz: the clock of each device that scales its own, such as a Jetson's GPU.
        device_max_mhz: the highest clock that each of these devices can have.
        temperatures_celsius: the temperature of each thermal zone.
        power_watts: the power of each rail or sensor.
        gpus: the NVIDIA cards.
    """

    cpu_mhz: dict[str, float]
    cpu_max_mhz: dict[str, float]
    cpu_governors: dict[str, str]
    device_mhz: dict[str, float]
    device_max_mhz: dict[str, float]
    temperatures_celsius: dict[str, float]
    power_watts: dict[str, float]
    gpus: tuple[GPUState, ...]

    def shown(self) -> dict[str, object]:
        """The fields that are not empty, for JSON."""
        return {name: value for name, value in asdict(self).items() if value}

    def describe(self) -> str:
        """The state in one line, which is empty if the machine shows nothing."""
        parts = []
        if self.cpu_mhz:
            low, high = min(self.cpu_mhz.values()), max(self.cpu_mhz.values())
            parts.append(f"cores at {low:.0f} to {high:.0f} MHz")
        parts += [f"{name} at {mhz:.0f} MHz" for name, mhz in self.device_mhz.items()]
        if self.temperatures_celsius:
            hottest = max(self.temperatures_celsius, key=lambda n: self.temperatures_celsius[n])
            parts.append(f"{hottest} {self.temperatures_celsius[hottest]:.0f} °C")
        parts += [f"{rail} {watts:.1f} W" for rail, watts in self.power_watts.items()]
        parts += [_describe_gpu(gpu) for gpu in self.gpus]
        return ", ".join(parts)


def read_machine_state(sysfs: Path = Path("/sys")) -> MachineState:
    """The state at this moment.

    Args:
        sysfs: the folder that the kernel's files are in.
    """
    cores = {core.name: core / "cpufreq" for core in _numbered(sysfs / "devices/system/cpu", "cpu")}
    devices = {device.name: device for device in sorted((sysfs / "class/devfreq").glob("*"))}
    governors = {name: _text(core / "scaling_governor") for name, core in cores.items()}
    return MachineState(
        cpu_mhz=_numbers(cores, "scaling_cur_freq", 1e-3),
        cpu_max_mhz=_numbers(cores, "cpuinfo_max_freq", 1e-3),
        cpu_governors={name: text for name, text in governors.items() if text is not None},
        device_mhz=_numbers(devices, "cur_freq", 1e-6),
        device_max_mhz=_numbers(devices, "max_freq", 1e-6),
        temperatures_celsius=_numbers(_zones(sysfs / "class/thermal"), "temp", 1e-3),
        power_watts=dict(_power(sysfs / "class/hwmon")),
        gpus=_gpus(),
    )


def _zones(thermal: Path) -> dict[str, Path]:
    """Thermal zones by what they measure, numbered where several measure the same."""
    zones: dict[str, Path] = {}
    for folder in _numbered(thermal, "thermal_zone"):
        name = _text(folder / "type") or folder.name
        zones[name if name not in zones else f"{name} ({folder.name})"] = folder
    return zones


def _power(hwmon: Path) -> Iterator[tuple[str, float]]:
    """The sensors of power. A Jetson's INA3221 gives millivolts and milliamperes for each rail."""
    for chip in _numbered(hwmon, "hwmon"):
        name = _text(chip / "name") or chip.name
        for file in sorted(chip.glob("power*_input")):
            sensor = file.name.removesuffix("_input")
            if (microwatts := _number(file)) is not None:
                yield _text(chip / f"{sensor}_label") or f"{name} {sensor}", microwatts * 1e-6
        for label in sorted(chip.glob("in*_label")) if name == "ina3221" else ():
            channel = label.name.removeprefix("in").removesuffix("_label")
            millivolts = _number(chip / f"in{channel}_input")
            milliamperes = _number(chip / f"curr{channel}_input")
            if (rail := _text(label)) and millivolts is not None and milliamperes is not None:
                yield rail, millivolts * milliamperes * 1e-6


def _gpus() -> tuple[GPUState, ...]:
    """The cards that ``nvidia-smi`` lists.

    There are none if it is missing, fails, or hangs, as it does on a lost card.
    """
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    query = [program, f"--query-gpu={','.join(_SMI_FIELDS)}", "--format=csv,noheader,nounits"]
    try:
        found = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ()
    rows = (line.split(", ") for line in found.stdout.splitlines())
    return tuple(_gpu(row) for row in rows if len(row) == len(_SMI_FIELDS))


def _gpu(row: list[str]) -> GPUState:
    """The card of one row, in which ``[N/A]`` or ``[Not Supported]`` marks an unknown value."""
    name, *numbers, reasons = row
    clock, most, celsius, watts = (_float(text) for text in numbers)
    bits = int(reasons, 16) if reasons.startswith("0x") else 0
    return GPUState(
        name=name,
        clock_mhz=clock,
        max_clock_mhz=most,
        temperature_celsius=celsius,
        power_watts=watts,
        slowed_by=tuple(reason for bit, reason in _SLOWED_BY.items() if bits & bit),
    )


def _describe_gpu(gpu: GPUState) -> str:
    numbers = [
        (gpu.clock_mhz, "MHz"), (gpu.temperature_celsius, "°C"), (gpu.power_watts, "W"),
    ]  # fmt: skip
    shown = [gpu.name, *(f"{number:.0f} {unit}" for number, unit in numbers if number is not None)]
    return " ".join(shown) + (f" (slowed by {', '.join(gpu.slowed_by)})" if gpu.slowed_by else "")


def _numbered(folder: Path, prefix: str) -> list[Path]:
    """The folders ``cpu0``, ``cpu1`` ... ``cpu10``, in the order of their numbers."""
    found = [path for path in folder.glob(f"{prefix}*") if path.name[len(prefix) :].isdecimal()]
    return sorted(found, key=lambda path: int(path.name[len(prefix) :]))


def _numbers(folders: Mapping[str, Path], file: str, scale: float) -> dict[str, float]:
    """The number in ``file`` of each folder that has one, times ``scale``."""
    found = {name: _number(folder / file) for name, folder in folders.items()}
    return {name: number * scale for name, number in found.items() if number is not None}


def _number(file: Path) -> float | None:
    text = _text(file)
    return None if text is None else _float(text)


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _text(file: Path) -> str | None:
    """The text of a file, or None, which a sensor that is switched off gives too."""
    try:
        return file.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None
