"""`Live`: a verified artifact that judges. Proofs are made here, in this process or beside it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass

from edge_ad_line.camera_health import Limits, limits_of, look_at
from edge_ad_line.config import PartConfig
from edge_ad_line.result import utc_text
from edge_ad_runtime.artifact.folder import Artifact
from edge_ad_runtime.detector import Detector
from edge_ad_runtime.errors import ArtifactError
from edge_ad_runtime.proof.verify import verify

_GOOD = "none"  # what a reference image says that is not damaged
_LONGEST_S = 900
_NICE = 10


@dataclass(frozen=True, kw_only=True, eq=False)
class Live:
    """A loaded artifact that has proven its scores on this machine.

    Attributes:
        detector: the loaded artifact. It closes itself when nobody uses it any more.
        sha256: the hash in its manifest.
        verified_at: when its references were replayed, UTC.
        limits: what a picture must look like to be judged.
    """

    detector: Detector
    sha256: str
    verified_at: str
    limits: Limits


def load_verified(artifact: Artifact, config: PartConfig) -> Live:
    """Load an artifact and replay its references in this process, for the start.

    Raises:
        ArtifactError: it does not give the exported scores here, or is damaged.
        EngineError: its engine is not installed.
    """
    detector = _load(artifact, config)
    report = verify(detector)
    if (failed := report.first_failure) is not None:
        raise ArtifactError(
            f"not verified: {failed.stage} is off by {failed.worst_difference:.3g} on "
            f"{failed.image}, {failed.tolerance:g} is tolerated",
            path=artifact.folder,
        )
    return _live(detector, utc_text())


def load_beside(artifact: Artifact, config: PartConfig, verified_at: str) -> Live:
    """Load an artifact that was verified on this device already, and run it once."""
    artifact.check_all()
    return _live(_load(artifact, config), verified_at)


def verify_beside(artifact: Artifact, config: PartConfig) -> str:
    """Replay an artifact's references in another process of low priority.

    The line scores on meanwhile, and an artifact that crashes its reader takes nothing with it.

    Returns:
        When it was verified, UTC.

    Raises:
        ArtifactError: it is not verified.
    """
    command = [
        sys.executable, "-m", "edge_ad_runtime", "verify", str(artifact.folder), "--json",
        "--engine", config.engine, "--threads", "1",
    ]  # fmt: skip
    single = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    child = subprocess.Popen(
        command, env={**os.environ, **single}, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with child:
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, child.pid, _NICE)
        try:
            out, err = child.communicate(timeout=_LONGEST_S)
        except subprocess.TimeoutExpired:
            child.kill()
            raise ArtifactError(
                f"not verified: its replay took more than {_LONGEST_S} s", path=artifact.folder
            ) from None
    if child.returncode != 0:
        why = _why(out, err, child.returncode, f"{artifact.folder}: ")
        raise ArtifactError(why, path=artifact.folder)
    return utc_text()


def _why(out: bytes, err: bytes, code: int, prefix: str) -> str:
    """What the child says of its refusal, or how it died."""
    lines = err.decode("utf-8", "backslashreplace").strip().splitlines()
    if lines:
        said = lines[-1].removeprefix("edge-ad: ").removeprefix(prefix)
        return f"not verified: {said.removeprefix('not verified; ')}"
    with suppress(ValueError, KeyError, TypeError):
        return f"not verified: {json.loads(out)['error']}"
    return f"not verified: its replay ended with code {code}"


def _load(artifact: Artifact, config: PartConfig) -> Detector:
    return Detector.load(artifact.folder, engine=config.engine, threads=config.threads)


def _live(detector: Detector, verified_at: str) -> Live:
    manifest = detector.manifest
    good = [reference.file for reference in manifest.reference if reference.damage == _GOOD]
    looks = [look_at(detector.artifact.image(name)) for name in good]
    return Live(
        detector=detector,
        sha256=manifest.sha256,
        verified_at=verified_at,
        limits=limits_of(looks),
    )
