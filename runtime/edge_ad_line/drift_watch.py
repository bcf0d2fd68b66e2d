"""`DriftWatch`: the evidence of drift of one part, for whichever artifact judges it.

Evidence belongs to an artifact, whose calibration scores are what parts are compared with. It is
kept over restarts and swaps.
"""

from __future__ import annotations

import logging
import threading
from typing import Any

from edge_ad_line.drift import Drift
from edge_ad_line.live import Live
from edge_ad_line.store import Store

_LOG = logging.getLogger(__name__)
_SEED = 0


class DriftWatch:
    """Watches one part. One thread updates it, and others may ask.

    Args:
        part: the part's name.
        store: where the evidence is kept.
    """

    def __init__(self, part: str, store: Store) -> None:
        self._part, self._store = part, store
        self._lock = threading.Lock()
        self._sha256 = ""
        self._drift = Drift.from_calibration((), seed=_SEED)

    def update(self, live: Live, score: float) -> tuple[float, bool]:
        """Take a score.

        Returns:
            The log10 of the evidence, and whether this very part has made an alarm.
        """
        with self._lock:
            self._turn_to(live)
            before = self._drift.alarms
            evidence = self._drift.update(score)
            return evidence, self._drift.alarms > before

    def save(self) -> None:
        """Keep the evidence over a restart."""
        with self._lock:
            if self._sha256:
                self._store.memory.remember(self._name(self._sha256), self._drift.state())

    def to_record(self, live: Live) -> dict[str, Any]:
        """JSON: the evidence, and whether it is an alarm."""
        with self._lock:
            self._turn_to(live)
            drift = self._drift
            return {
                "evidence_log10": round(drift.evidence_log10, 3),
                "is_alarm": drift.is_alarm,
                "alarms": drift.alarms,
                "parts": drift.parts,
            }

    def _turn_to(self, live: Live) -> None:
        """Go on with the evidence of this artifact, or begin it."""
        if live.sha256 == self._sha256:
            return
        if self._sha256:
            self._store.memory.remember(self._name(self._sha256), self._drift.state())
        self._sha256 = live.sha256
        state = self._store.memory.recall(self._name(live.sha256))
        if state is not None:
            try:
                self._drift = Drift.restore(state)
                return
            except ValueError as exc:
                _LOG.warning("the evidence of drift of %s begins anew: %s", self._part, exc)
        scores = live.detector.manifest.calibration.scores
        self._drift = Drift.from_calibration(scores, seed=_SEED)

    def _name(self, sha256: str) -> str:
        return f"drift/{self._part}/{sha256}"
