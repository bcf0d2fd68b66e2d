"""`Station`: one part's detector and the images that wait for it."""

from __future__ import annotations

from edge_ad_runtime.detector import Detector


class Station:
    """One part.

    Attributes:
        name: the part's name.
        detector: the live artifact, loaded. It may be another one at any time, so that whoever
            uses it twice takes it once.
    """

    name: str
    detector: Detector
