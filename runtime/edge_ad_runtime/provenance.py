"""What a measurement or a proof was made with: every report begins with it."""

from __future__ import annotations

from dataclasses import dataclass

from edge_ad_runtime import __version__
from edge_ad_runtime.detector import Detector
from edge_ad_runtime.device.machine import machine


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Artifact, runtime, engine and machine.

    Attributes:
        artifact: name of its folder.
        artifact_sha256: its manifest's.
        runtime_version: of this package.
        engine: what runs the networks.
        engine_version: of the library that does.
        device: what the engine runs on, ``cpu`` or a GPU's name.
        precision: what the networks compute in, such as ``fp32``.
        search: the kind of search.
        threads: CPU threads; None: all cores.
        machine: processor, cores, system and Python.
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
    """That of a loaded artifact, on this machine."""
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
