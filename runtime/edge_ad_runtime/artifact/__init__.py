"""What an artifact is: its schema, its folder, and how both are read without trusting either.

words          the vocabulary, and the bounds of numbers and names
schema         the records of ``manifest.json``
head_records   the records of heads and searches, told apart by their ``kind``
               (those of ``a-contrario`` are in ``a_contrario_records``)
manifest       the file, read strictly
older          the schema before this one
folder         `Artifact`: content that is handed out only after its hash agrees
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge_ad_runtime.artifact.folder import Artifact

__all__ = ["Artifact"]


def __getattr__(name: str) -> Any:
    """Import `Artifact` on first use, so that whoever needs only a word never waits for OpenCV."""
    if name != "Artifact":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from edge_ad_runtime.artifact.folder import Artifact

    return Artifact
