"""An artifact as bytes, what a mutation is, and the seal that makes a manifest a right one."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import random
import shutil
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

MANIFEST = "manifest.json"

Special = Literal[
    "missing", "fifo", "device", "loop", "nowhere", "folder", "socket", "huge", "self"
]
SPECIALS: tuple[Special, ...] = (
    "missing", "fifo", "device", "loop", "nowhere", "folder", "socket", "huge", "self",
)  # fmt: skip


@dataclass(frozen=True)
class Mutation:
    """What is done to an artifact.

    Attributes:
        how: in words.
        changes: of each file that is changed, its content, or what takes its place.
    """

    how: str
    changes: Mapping[str, bytes | Special]


@dataclass(frozen=True)
class Base:
    """The artifact that is changed: the content of its files, and its manifest's JSON."""

    files: dict[str, bytes]
    manifest: dict[str, Any]

    @classmethod
    def read(cls, folder: Path) -> Base:
        """All files of an artifact's folder."""
        names = sorted(path for path in folder.rglob("*") if path.is_file())
        files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in names}
        return cls(files, json.loads(files[MANIFEST]))

    def copy_of_manifest(self) -> dict[str, Any]:
        """To change."""
        return copy.deepcopy(self.manifest)

    def replaced(
        self, how: str, files: Mapping[str, bytes], manifest: dict[str, Any] | None = None
    ) -> Mutation:
        """Files with other content, of which the manifest has the size and hash."""
        manifest = manifest or self.copy_of_manifest()
        for name, content in files.items():
            manifest["files"][name] = entry_of(content)
        return Mutation(how, {**files, MANIFEST: seal(manifest)})


Mutate = Callable[[Base, random.Random], Mutation]


def entry_of(content: bytes) -> dict[str, Any]:
    """What the manifest says of a file."""
    return {"size_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def seal(manifest: dict[str, Any]) -> bytes:
    """The text of a manifest, with the SHA-256 that it would have been exported with."""
    blank = _text({**manifest, "sha256": ""})
    digest = hashlib.sha256(blank).hexdigest()
    return _text({**manifest, "sha256": digest}) + b"\n"


def _text(value: dict[str, Any]) -> bytes:
    return json.dumps(value, indent=2, ensure_ascii=False).encode("utf-8", "surrogatepass")


def write(folder: Path, name: str, content: bytes | Special) -> None:
    """Put a file, or what takes its place, into a folder; what was there is gone."""
    path = folder / name
    remove(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "fifo":
        os.mkfifo(path)
    elif content in _LINKS:
        path.symlink_to(_LINKS[content] or path.name)
    elif content == "folder":
        path.mkdir()
    elif content == "huge":
        path.touch()
        os.truncate(path, 1 << 40)
    elif content == "socket":
        _make_socket(path)


_LINKS = {"device": "/dev/zero", "loop": "", "nowhere": "/no/such/file", "self": "/proc/self/mem"}


def _make_socket(path: Path) -> None:
    """The name of a socket is short: it is bound from within its folder."""
    here = os.getcwd()  # noqa: PTH109
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path.name)
    finally:
        os.chdir(here)


def remove(path: Path) -> None:
    """Whatever is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
