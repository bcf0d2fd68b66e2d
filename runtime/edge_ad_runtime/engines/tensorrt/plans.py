"""Plan files: a compiled graph with a header that says what it was made from and where it runs.

A file consists of the header as JSON, a blank line and the plan. Its name follows from its
`PlanKey`. The SHA-256 in the header is checked before TensorRT's own parser sees a byte, because
that parser trusts what it is given.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from edge_ad_runtime.artifact import strict
from edge_ad_runtime.artifact.schema import FileEntry
from edge_ad_runtime.artifact.strict import AtMost
from edge_ad_runtime.errors import ArtifactError, EngineError
from edge_ad_runtime.regular_file import open_regular

LibraryName = Literal["tensorrt", "tensorrt_rtx"]

_SCHEMA = 1
_END_OF_HEADER = b"\n\n"  # JSON that is indented has no blank line
_MOST_HEADER_BYTES = 4096
_MOST_BYTES = 1 << 36


@dataclass(frozen=True, kw_only=True)
class PlanKey:
    """What a plan must agree with to be used.

    Attributes:
        library: the library that built it. The two cannot read one another's plans.
        version: the version of that library, which reads no other version's plans.
        target: the GPU that it runs on, such as ``sm89``. For ``tensorrt`` the GPU's name follows,
            as in ``sm87-orin``.
        graph_sha256: the SHA-256 of the graph that it was built from.
    """

    library: LibraryName
    version: Annotated[str, AtMost(100)]
    target: Annotated[str, AtMost(100)]
    graph_sha256: Annotated[str, AtMost(64)]

    @property
    def file_name(self) -> str:
        """The plan's file name, such as ``tensorrt_rtx-1.7.1.116-sm89-0a1b2c3d4e5f.plan``."""
        return f"{self.library}-{self.version}-{self.target}-{self.graph_sha256[:12]}.plan"


@dataclass(frozen=True, kw_only=True)
class _Header:
    schema: int
    key: PlanKey
    plan: FileEntry


def write_plan(folder: Path, key: PlanKey, plan: bytes) -> None:
    """Write a plan file under its name, into a folder that nobody reads yet."""
    digest = hashlib.sha256(plan).hexdigest()
    entry = FileEntry(size_bytes=len(plan), sha256=digest)
    header = strict.dumps(_Header(schema=_SCHEMA, key=key, plan=entry))
    (folder / key.file_name).write_bytes(header.encode() + _END_OF_HEADER + plan)


def read_plan(folder: Path | None, key: PlanKey) -> bytes:
    """Read the plan of that key and verify it.

    Raises:
        EngineError: there is none. The message names the plans of other devices and versions that
            are there.
        ArtifactError: the file is damaged, or is another plan under this one's name.
    """
    there = sorted(path.name for path in folder.glob("*.plan")) if folder else []
    if folder is None or key.file_name not in there:
        raise EngineError(
            f"no plan for {key.library} {key.version} on {key.target} of this graph "
            f"({key.file_name}); found {', '.join(there) or 'none'}; "
            "run edge-ad compile ARTIFACT"
        )
    path = folder / key.file_name
    try:
        return _read(path, key)
    except OSError as exc:
        raise ArtifactError(f"cannot be read: {exc.strerror}", path=path) from exc
    except ValueError as exc:
        raise ArtifactError(f"{exc}; run edge-ad compile again", path=path) from exc


def _read(path: Path, key: PlanKey) -> bytes:
    """The plan in a file. If the header is wrong, no more than the header is read."""
    with open_regular(path, most_bytes=_MOST_BYTES) as (file, size_bytes):
        text, _, plan = file.read(_MOST_HEADER_BYTES).partition(_END_OF_HEADER)
        header = strict.parse(_Header, strict.loads(text.decode()))
        _check_header(header, key, size_bytes - len(text) - len(_END_OF_HEADER))
        plan += file.read()
    if hashlib.sha256(plan).hexdigest() != header.plan.sha256:
        raise ValueError("damaged: the plan's SHA-256 is not the header's")
    return plan


def _check_header(header: _Header, key: PlanKey, plan_bytes: int) -> None:
    if header.schema != _SCHEMA:
        raise ValueError(f"plan file of schema {header.schema}, this runtime reads {_SCHEMA}")
    if header.key != key:
        raise ValueError(f"holds the plan of {header.key}, not of {key}")
    if plan_bytes != header.plan.size_bytes:
        raise ValueError(f"damaged: {plan_bytes} bytes of plan, not {header.plan.size_bytes}")
