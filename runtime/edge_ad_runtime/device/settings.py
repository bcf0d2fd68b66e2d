"""``device.json``, which keeps what `edge-ad tune` has found best on this machine.

The file lies beside the manifest and is no part of the artifact. It chooses among ways to compute
the same scores, so it can make a verdict faster or slower, but it can never change one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from edge_ad_runtime.artifact import strict
from edge_ad_runtime.artifact.atomic import write_file
from edge_ad_runtime.artifact.folder import Artifact
from edge_ad_runtime.artifact.strict import AtMost, Between
from edge_ad_runtime.device.machine import machine
from edge_ad_runtime.errors import ArtifactError
from edge_ad_runtime.options import SearchChoice
from edge_ad_runtime.regular_file import read_regular

FILE_NAME = "device.json"
_MOST_BYTES = 100_000  # the file is no larger


@dataclass(frozen=True, kw_only=True)
class DeviceSettings:
    """The content of ``device.json``.

    Attributes:
        artifact_sha256: the SHA-256 in the manifest of the artifact that was measured.
        cpu: the processor that it was measured on.
        cores: the number of cores of that machine.
        search: ``artifact`` for the search that the export has chosen, or ``exact``.
        threads: the number of CPU threads for the network and the index.
        reason: one sentence with the measurement that decided.
    """

    artifact_sha256: Annotated[str, AtMost(64)]
    cpu: Annotated[str, AtMost(1000)]
    cores: Annotated[int, Between(1, 65_536)]
    search: SearchChoice
    threads: Annotated[int, Between(1, 65_536)]
    reason: Annotated[str, AtMost(2000)]

    def __post_init__(self) -> None:
        if self.threads > self.cores:
            raise ValueError(f"threads is {self.threads}, more than the {self.cores} cores")


def read_device_settings(artifact: Artifact) -> DeviceSettings | None:
    """Read the artifact's ``device.json``, or give None if it was never tuned.

    Raises:
        ArtifactError: the file is damaged, or was made for another artifact or machine. The message
            says what to do.
    """
    path = artifact.folder / FILE_NAME
    advice = "run edge-ad tune again, or delete it"
    try:
        text = read_regular(path, most_bytes=_MOST_BYTES).decode("utf-8")
        settings = strict.parse(DeviceSettings, strict.loads(text))
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise ArtifactError(f"cannot be read: {exc.strerror}; {advice}", path=path) from exc
    except ValueError as exc:
        raise ArtifactError(f"{exc}; {advice}", path=path) from exc
    here = machine()
    if (settings.cpu, settings.cores) != (here["cpu"], here["cores"]):
        raise ArtifactError(
            f"was made on {settings.cores} cores of {settings.cpu}, this machine has "
            f"{here['cores']} of {here['cpu']}; {advice}",
            path=path,
        )
    if settings.artifact_sha256 != artifact.manifest.sha256:
        raise ArtifactError(f"was made for another artifact; {advice}", path=path)
    return settings


def write_device_settings(artifact: Artifact, settings: DeviceSettings) -> None:
    """Write ``device.json``, whole or not at all.

    Raises:
        ArtifactError: the folder cannot be written.
    """
    path = artifact.folder / FILE_NAME
    try:
        write_file(path, (strict.dumps(settings) + "\n").encode())
    except OSError as exc:
        raise ArtifactError(f"cannot be written: {exc.strerror}", path=path) from exc
