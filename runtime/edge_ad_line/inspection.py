"""An image becomes a result: the verdict, or why there is none. No thread and no store is here."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from edge_ad_line.camera_health import fault_of, look_at
from edge_ad_line.cameras.camera import Frame
from edge_ad_line.intake import Job
from edge_ad_line.live import Live
from edge_ad_line.result import Reason, Result, new_id
from edge_ad_runtime.errors import EdgeADError, ImageError
from edge_ad_runtime.images import RGBImage
from edge_ad_runtime.prediction import Prediction
from edge_ad_runtime.stopwatch import Stopwatch

CAMERA_FAULTS: tuple[Reason, ...] = ("frozen", "dark", "overexposed", "blurred", "displaced")

_NOTHING: dict[str, Any] = {
    **dict.fromkeys(("reason", "error", "score", "threshold", "exact", "artifact", "drift")),
    "boxes": (),
    "timings_ms": {},
    "seq": None,
    "image": None,
    "stored": False,
}


def inspected(job: Job, part: str, live: Live, *, check_camera: bool) -> Result:
    """Judge an image.

    Args:
        job: the image. Of a camera's, the picture itself is looked at first.
        part: the name of the part.
        live: the artifact that judges.
        check_camera: whether the picture must look like those of good parts.
    """
    clock = Stopwatch()
    try:
        image = job.frame.image()
        clock.lap("decode")
        if job.camera is not None:
            fault = _fault(job.frame, image, live, check_camera)
            clock.lap("camera_check")
            if fault is not None:
                return failed(job, part, *fault, live)
        prediction = live.detector.predict(image)
    except ImageError as exc:
        return failed(job, part, "unreadable", str(exc), live)
    except EdgeADError as exc:
        return failed(job, part, "network", str(exc), live)
    return _judged(job, part, prediction, clock.laps_ms, live)


def failed(job: Job, part: str, reason: Reason, error: str, live: Live | None = None) -> Result:
    """The result of an image that has no verdict.

    Args:
        job: the image.
        part: the name of the part.
        reason: why, as a word.
        error: why, in words.
        live: the artifact that was to judge, if it came to that.
    """
    total_ms = (time.monotonic() - job.frame.came_s) * 1000
    threshold = None if live is None else live.detector.manifest.calibration.threshold
    return _result(
        job,
        part,
        verdict="error",
        reason=reason,
        error=error,
        threshold=threshold,
        artifact=None if live is None else live.sha256,
        timings_ms={"total": round(total_ms, 3)},
    )


def interrupted(note: Mapping[str, Any]) -> Result:
    """The result of an image that was in hand when the device stopped.

    Args:
        note: what was written down of it, see `note_of`.
    """
    told = {
        "id": new_id(),
        "verdict": "error",
        "reason": "interrupted",
        "error": "the device stopped while the image was in hand",
    }
    return Result(**{**_NOTHING, **told, **note})


def note_of(job: Job, part: str) -> dict[str, Any]:
    """What is written down of an image while it is in hand."""
    return {
        "part": part,
        "part_id": job.part_id,
        "camera": job.camera,
        "captured_at": job.frame.captured_at,
    }


def _fault(
    frame: Frame, image: RGBImage, live: Live, check_camera: bool
) -> tuple[Reason, str] | None:
    """Why a camera's picture cannot be judged."""
    if frame.is_frozen:
        return "frozen", "the camera repeats the same picture; switch it off and on"
    return fault_of(look_at(image), live.limits) if check_camera else None


def _judged(
    job: Job, part: str, found: Prediction, laps_ms: Mapping[str, float], live: Live
) -> Result:
    total_ms = (time.monotonic() - job.frame.came_s) * 1000
    stages = {k: ms for k, ms in found.timings_ms.items() if k not in ("decode", "total")}
    timings = {**laps_ms, **stages}
    wait_ms = max(0.0, total_ms - sum(timings.values()))
    timings = {"wait": wait_ms, **timings, "total": total_ms}
    return _result(
        job,
        part,
        verdict=found.verdict,
        score=found.score,
        threshold=found.threshold,
        exact=found.evidence.get("exact"),
        artifact=live.sha256,
        boxes=[region.to_record() for region in found.regions or ()],
        timings_ms={stage: round(ms, 3) for stage, ms in timings.items()},
    )


def _result(job: Job, part: str, **told: Any) -> Result:
    return Result(**{**_NOTHING, "id": new_id(), **note_of(job, part), **told})
