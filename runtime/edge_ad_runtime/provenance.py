"""What a measurement or a proof was made with. Every report begins with it."""

from __future__ import annotations

from dataclasses import dataclass

from edge_ad_runtime import __version__
from edge_ad_runtime.detector import Detector
from edge_ad_runtime.device.machine import machine


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """The artifact, the runtime, the engine and the machine.

    Attributes:
        artifact: the name of the artifact's folder.
        artifact_sha256: the SHA-256 in the artifact's manifest.
        runtime_version: the version of this package.
        engine: the engine that runs the networks.
        engine_version: the version of the library that runs them.
        device: the device that the engine runs on: ``cpu`` or a GPU's name.
        precision: the precision that the networks compute in, such as ``fp32``.
        search: the kind of search.
        threads: the number of CPU threads. None means all cores.
        machine: the processor, its cores, the system and the version of Python.
    """

    artifact: str
    artifact_sha256: str
    runtime_version: str
    engine: str
    engine_version: str
    device: str
    precision: str
    search: str
    threads: int | None
    machine: dict[str, str | int]


def provenance(detector: Detector) -> Provenance:
    """The provenance of whatever a loaded artifact gives on this machine."""
    return Provenance(
        artifact=detector.artifact.folder.name,
        artifact_sha256=detector.manifest.sha256,
        runtime_version=__version__,
        engine=detector.engine.name,
        engine_version=detector.engine.version,
        device=detector.engine.device,
        precision=detector.precision,
        search=detector.search,
        threads=detector.options.threads,
        machine=machine(),
    )
