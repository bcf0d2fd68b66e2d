"""Which artifact judges a part, and how another one takes its place. A refused one changes nothing.

An artifact is kept, then verified beside the live one, then loaded and run once, then named by the
part's pointer, and only then does it judge. Whatever fails before leaves all as it was.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from edge_ad_line.artifacts import Artifacts, Pointer
from edge_ad_line.config import PartConfig
from edge_ad_line.live import Live, load_beside, load_verified, verify_beside
from edge_ad_line.store import Store
from edge_ad_runtime.errors import ArtifactError, ConfigError, EdgeADError

_LOG = logging.getLogger(__name__)
CONFIGURED = "line.toml"  # who has changed something, where it was the settings
_MAY_JUDGE = ("staged", "previous", "live")


@dataclass(frozen=True, kw_only=True, eq=False)
class Beginning:
    """What is to judge a part.

    Attributes:
        live: the verified artifact.
        settle: writes down that it judges.
    """

    live: Live
    settle: Callable[[], None]


class Swaps:
    """Artifacts come in, take over and give way. One thing at a time.

    Args:
        store: where it is written down who did what.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._artifacts = Artifacts(store.folder)
        self._one_at_a_time = threading.RLock()

    def begin(
        self, config: PartConfig, *, now: Live | None = None, must: bool = False
    ) -> Beginning:
        """The verified artifact that judges a part when the line starts or is reloaded.

        It is the one that the pointer names. Only if the settings name another one than they did
        before, that one takes over, if it can. Nothing is written before the beginning is settled.

        Args:
            config: the part.
            now: what judges it now, if it does not have to be loaded again.
            must: whether what the settings name must be able to take over. Otherwise the line goes
                on with the artifact that it has.

        Raises:
            EdgeADError: there is none that can.
        """
        with self._one_at_a_time:
            pointer = self._artifacts.pointer(config.name)
            try:
                beginning = self._configured(config, pointer)
            except EdgeADError as exc:
                if pointer is None or must:
                    raise
                _LOG.error("part %s goes on with the artifact it has: %s", config.name, exc)
                beginning = None
            if beginning is not None:
                return beginning
            assert pointer is not None
            if now is not None and now.sha256 == pointer.live:
                return Beginning(live=now, settle=lambda: None)
            live = load_verified(self._artifacts.open(pointer.live), config)
            return Beginning(live=live, settle=partial(self._agree, config.name, pointer, live))

    def stage(self, config: PartConfig, source: Path, *, user: str) -> str:
        """Keep an artifact and verify it beside the live one.

        Returns:
            The SHA-256 in its manifest.

        Raises:
            ArtifactError: it is refused.
            ExportError: the disk is full.
        """
        with self._one_at_a_time:
            artifact = self._artifacts.keep(source)
            sha256 = artifact.manifest.sha256
            if self._state(config.name, sha256) == "live":
                return sha256
            try:
                verified_at = verify_beside(artifact, config)
            except ArtifactError as exc:
                self._store.journal.note_artifact(
                    config.name, sha256, "refused", user=user, action="refuse", note=str(exc)
                )
                raise
            self._store.journal.note_artifact(
                config.name, sha256, "staged", user=user, action="stage", verified_at=verified_at
            )
            return sha256

    def promote(
        self,
        config: PartConfig,
        sha256: str,
        swap: Callable[[Live], None],
        *,
        user: str,
        reason: str,
    ) -> None:
        """Let a verified artifact judge.

        Args:
            config: the part.
            sha256: the hash in the artifact's manifest.
            swap: puts it in the place of the live one.
            user: who wants that.
            reason: why.

        Raises:
            ArtifactError: it is not there, was not verified, or is damaged.
        """
        with self._one_at_a_time:
            if self._state(config.name, sha256) not in _MAY_JUDGE:
                raise ArtifactError(
                    f"{config.name} has no verified artifact {sha256[:12]}; upload it first",
                    path=self._store.folder,
                )
            pointer = self._pointer(config.name)
            self._take_over(config, pointer.promoted(sha256), swap, "promote", user, reason)

    def roll_back(
        self, config: PartConfig, swap: Callable[[Live], None], *, user: str, reason: str
    ) -> str:
        """Let the artifact before the live one judge again, and give its SHA-256.

        Raises:
            ArtifactError: there is none, or it is damaged.
        """
        with self._one_at_a_time:
            try:
                pointer = self._pointer(config.name).rolled_back()
            except ConfigError as exc:
                raise ArtifactError(str(exc), path=self._store.folder) from exc
            self._take_over(config, pointer, swap, "roll back", user, reason)
            return pointer.live

    def before(self, part: str) -> tuple[str, ...]:
        """The artifacts that a part can be rolled back to, the next one last."""
        pointer = self._artifacts.pointer(part)
        return () if pointer is None else pointer.before

    def forget(self, parts: list[str]) -> None:
        """Delete kept artifacts that no part can come back to."""
        with self._one_at_a_time:
            wanted: set[str] = set()
            for part in parts:
                pointer = self._artifacts.pointer(part)
                if pointer is not None:
                    wanted |= {pointer.live, *pointer.before}
                rows = self._store.artifacts(part)
                wanted |= {row["sha256"] for row in rows if row["state"] == "staged"}
            self._artifacts.forget_all_but(wanted)

    def _configured(self, config: PartConfig, pointer: Pointer | None) -> Beginning | None:
        """What the settings name takes over. None if it is what they named before."""
        candidate = self._artifacts.keep(config.artifact)
        sha256 = candidate.manifest.sha256
        if pointer is not None and sha256 == pointer.configured:
            return None
        live = load_verified(candidate, config)
        before = () if pointer is None else pointer.promoted(sha256).before
        new = Pointer(live=sha256, before=before, configured=sha256)

        def settle() -> None:
            self._artifacts.point(config.name, new)
            self._store.journal.note_artifact(
                config.name,
                sha256,
                "live",
                user=CONFIGURED,
                action="configure",
                before=None if pointer is None else pointer.live,
                verified_at=live.verified_at,
            )

        return Beginning(live=live, settle=settle)

    def _take_over(
        self,
        config: PartConfig,
        pointer: Pointer,
        swap: Callable[[Live], None],
        action: str,
        user: str,
        reason: str,
    ) -> None:
        before = self._pointer(config.name).live
        rows = {row["sha256"]: row for row in self._store.artifacts(config.name)}
        verified_at = (rows.get(pointer.live) or {}).get("verified_at") or ""
        live = load_beside(self._artifacts.open(pointer.live), config, verified_at)
        self._artifacts.point(config.name, pointer)
        swap(live)
        self._store.journal.note_artifact(
            config.name, pointer.live, "live", user=user, action=action, before=before,
            reason=reason,
        )  # fmt: skip

    def _agree(self, part: str, pointer: Pointer, live: Live) -> None:
        """Write down what the pointer says, if the power went between the two."""
        if self._state(part, pointer.live) != "live":
            self._store.journal.note_artifact(
                part, pointer.live, "live", user=CONFIGURED, action="agree with the pointer",
                verified_at=live.verified_at,
            )  # fmt: skip

    def _pointer(self, part: str) -> Pointer:
        pointer = self._artifacts.pointer(part)
        if pointer is None:
            raise ArtifactError(f"part {part} has no artifact", path=self._store.folder)
        return pointer

    def _state(self, part: str, sha256: str) -> str | None:
        rows = self._store.artifacts(part)
        return next((row["state"] for row in rows if row["sha256"] == sha256), None)
