"""The commands that write, what they write over, and how to tell that it is whole."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.process import ROOT
from edge_ad.fitting.fitted import FittedDetector
from edge_ad.synthetic.parts import write_parts
from edge_ad_runtime.artifact.atomic import scratch_folder, write_file
from edge_ad_runtime.artifact.folder import Artifact
from edge_ad_runtime.device.machine import machine
from edge_ad_runtime.device.settings import (
    FILE_NAME,
    DeviceSettings,
    read_device_settings,
    write_device_settings,
)

TINY = ROOT / "tests/runtime/tiny.edgead"

_SMALL = (
    "--weights",
    "untrained",
    "--layers",
    "1",
    "--size",
    "64x80",
    "--coreset-fraction",
    "0.05",
)
_PICTURE = re.compile(r"src='?\"?([^'\" >]+)")


@dataclass(frozen=True)
class Inputs:
    """What the commands read, made once, in a folder."""

    folder: Path

    @property
    def parts(self) -> Path:
        """Drawn parts in MVTec AD's layout."""
        return self.folder / "parts"

    @property
    def fit(self) -> Path:
        """A fit of the good ones."""
        return self.folder / "plate.fit"

    @property
    def artifact(self) -> Path:
        """A small one."""
        return self.folder / "plate.edgead"

    @property
    def report(self) -> Path:
        """The artifact's, on the parts."""
        return self.folder / "report"


@dataclass(frozen=True, kw_only=True)
class Command:
    """One that writes a folder, or a file into one.

    Attributes:
        arguments: from the inputs and the name to write.
        old: the folder that is there before.
        is_whole: raises where what is under the name is not whole.
        tidies: does what the next run begins with, which removes leftovers.
        in_place: it writes into a folder that must be there.
    """

    arguments: Callable[[Inputs, Path], list[str]]
    old: Callable[[Inputs], Path]
    is_whole: Callable[[Path], None]
    tidies: Callable[[Path], None]
    in_place: bool = False


def prepare(inputs: Inputs, command: Command, out: Path, *, has_old: bool) -> None:
    """Put what is there before under the name; a new one is never the same."""
    if not has_old and not command.in_place:
        return
    shutil.copytree(command.old(inputs), out)
    if not command.in_place:
        (out / "old.txt").write_text("old", encoding="ascii")
    elif has_old:
        artifact = Artifact.open(out)
        here = machine()
        settings = DeviceSettings(
            artifact_sha256=artifact.manifest.sha256,
            cpu=str(here["cpu"]),
            cores=int(here["cores"]),
            search="exact",
            threads=1,
            reason="the old ones",
        )
        write_device_settings(artifact, settings)


def digest(folder: Path) -> str:
    """Of all names and contents; empty if it is not there."""
    if not folder.is_dir():
        return ""
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        found.update(path.relative_to(folder).as_posix().encode() + b"\0")
        if path.is_file():
            found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()


def _fit_is_whole(out: Path) -> None:
    FittedDetector.load(out)


def _artifact_is_whole(out: Path) -> None:
    artifact = Artifact.open(out)
    artifact.check_all()
    assert artifact.manifest.reference, "it has reference images"


def _report_is_whole(out: Path) -> None:
    json.loads((out / "report.json").read_text(encoding="utf-8"))
    page = (out / "index.html").read_text(encoding="utf-8")
    assert page.rstrip().endswith("</html>"), "the page ends"
    for name in _PICTURE.findall(page):
        assert (out / name).stat().st_size > 0, f"{name} is there"


def _settings_are_whole(out: Path) -> None:
    _artifact_is_whole(out)
    read_device_settings(Artifact.open(out))


def _tidy(out: Path) -> None:
    with scratch_folder(out):
        pass


def _tidy_settings(out: Path) -> None:
    path = out / FILE_NAME
    before = path.read_bytes() if path.exists() else None
    write_file(path, before or b"")
    if before is None:
        path.unlink()


def _export(search: str) -> Command:
    return Command(
        arguments=lambda inputs, out: [
            "export", str(inputs.fit), "--out", str(out), "--search", search, "--overwrite",
        ],
        old=lambda inputs: inputs.artifact,
        is_whole=_artifact_is_whole,
        tidies=_tidy,
    )  # fmt: skip


COMMANDS: dict[str, Command] = {
    "fit": Command(
        arguments=lambda inputs, out: [
            "fit", str(inputs.parts / "train/good"), "--out", str(out), *_SMALL, "--overwrite",
        ],
        old=lambda inputs: inputs.fit,
        is_whole=_fit_is_whole,
        tidies=_tidy,
    ),
    "export exact": _export("exact"),
    "export hnsw": _export("hnsw"),
    "evaluate": Command(
        arguments=lambda inputs, out: [
            "evaluate", str(inputs.artifact), str(inputs.parts), "--report", str(out),
            "--overwrite",
        ],
        old=lambda inputs: inputs.report,
        is_whole=_report_is_whole,
        tidies=_tidy,
    ),
    "tune": Command(
        arguments=lambda inputs, out: ["tune", str(out)],
        old=lambda inputs: inputs.artifact,
        is_whole=_settings_are_whole,
        tidies=_tidy_settings,
        in_place=True,
    ),
}  # fmt: skip


def make_inputs(folder: Path, run: Callable[[list[str]], None], commands: Sequence[str]) -> Inputs:
    """Drawn parts, a small artifact, and a fit and a report of them."""
    inputs = Inputs(folder)
    write_parts(inputs.parts, good=10, test_good=2, per_defect=1)
    shutil.copytree(TINY, inputs.artifact)
    good = str(inputs.parts / "train/good")
    run(["fit", good, "--out", str(inputs.fit), *_SMALL])
    if "evaluate" in commands:
        arguments = [str(inputs.artifact), str(inputs.parts), "--report", str(inputs.report)]
        run(["evaluate", *arguments])
    return inputs
