"""The ``edge-ad`` command. Results go to stdout, talk to stderr; exit 0 fine, 1 refused, 2 usage.

Whatever is printed of names and messages from outside is escaped: see `edge_ad_runtime.escaping`.

``score``, ``verify``, ``profile`` and ``info`` live here and run on a device. Other distributions
add commands through the entry-point group ``edge_ad.commands``, imported only when used.
"""

from __future__ import annotations

import errno
import signal
import sys
import threading
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import datetime, timezone
from importlib.metadata import entry_points
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click
import cv2

from edge_ad_runtime import __version__
from edge_ad_runtime.commands.options import ARTIFACT, AS_JSON, ENGINE, THREADS, write_text
from edge_ad_runtime.commands.profile import profile
from edge_ad_runtime.detector import Detector
from edge_ad_runtime.errors import EdgeADError
from edge_ad_runtime.escaping import json_text, shown
from edge_ad_runtime.images import expand_folders, read_image, write_png
from edge_ad_runtime.prediction import Prediction, error_record

if TYPE_CHECKING:
    from edge_ad_runtime.artifact.head_records import HeadRecord
    from edge_ad_runtime.artifact.schema import Calibration, Member, PrecisionLoss
    from edge_ad_runtime.artifact.words import EngineChoice
    from edge_ad_runtime.device.settings import DeviceSettings
    from edge_ad_runtime.proof.verify import VerifyReport


# What a disk may answer to any write, of any command; everything else that is no EdgeADError is
# our bug and keeps its traceback.
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}


class EdgeADGroup(click.Group):
    """Commands of this package and of the entry points; errors of ours become one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All command names, those of the workshop included where it is installed."""
        return sorted({*self.commands, *(point.name for point in _plugins())})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """One of ours, else the plugin of that name, imported now."""
        if cmd_name in self.commands:
            return self.commands[cmd_name]
        point = next((point for point in _plugins() if point.name == cmd_name), None)
        command: click.Command | None = point.load() if point else None
        return command

    def make_context(self, *arguments: Any, **settings: Any) -> click.Context:
        """Parse options; ``--help`` is printed here, and may find the disk full too."""
        try:
            return super().make_context(*arguments, **settings)
        except OSError as exc:
            _tell_of_disk(exc)
            raise SystemExit(1) from exc

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; an EdgeADError is told in one line and is exit code 1."""
        try:
            return super().invoke(ctx)
        except EdgeADError as exc:
            _tell(str(exc))
            ctx.exit(1)
        except OSError as exc:
            _tell_of_disk(exc)
            ctx.exit(1)


def _tell_of_disk(error: OSError) -> None:
    """Say what the disk has answered; raises the error if it is none of a disk's."""
    if error.errno not in _DISK:
        raise error
    where = f"{error.filename}: " if error.filename else ""
    _tell(f"{where}cannot be written: {error.strerror}")


def _tell(text: str) -> None:
    """Say one line on stderr, which may be full too."""
    with suppress(OSError):
        click.echo(f"edge-ad: {shown(text)}", err=True)


def _plugins() -> Iterable[Any]:
    return entry_points(group="edge_ad.commands")


@click.group(cls=EdgeADGroup)
@click.version_option(__version__, prog_name="edge-ad")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Learn what good parts look like; ship a compiled detector that a factory device can trust.

    \b
    Example: edge-ad score line3.edgead part.png
    """
    # its decoders' chatter; we report the file ourselves
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    warnings.showwarning = lambda message, *_: _tell(f"warning: {message}")
    if threading.current_thread() is threading.main_thread():
        ctx.with_resource(_cleaned_up_on(signal.SIGTERM, signal.SIGHUP))


@contextmanager
def _cleaned_up_on(*numbers: signal.Signals) -> Iterator[None]:
    """These signals end the process as an exception does, so that temporary folders are removed."""

    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    previous = [signal.signal(number, end) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, previous, strict=True):
            signal.signal(number, handler)


@main.command()
@ARTIFACT
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path, readable=False))
@AS_JSON
@click.option("--maps", type=click.Path(path_type=Path), help="Write an overlay per image here.")
@click.option("--no-map", is_flag=True, help="Scores only: leave out what only maps need.")
@ENGINE
@THREADS
def score(
    artifact: Path,
    images: tuple[Path, ...],
    as_json: bool,
    maps: Path | None,
    no_map: bool,
    engine: EngineChoice,
    threads: int | None,
) -> None:
    """Score images, one line each.

    A folder stands for the images in it. An image that cannot be read gets verdict "error", the
    others go on, and the exit code is 1; so it is if an overlay cannot be written ("map_error").

    \b
    Example: edge-ad score line3.edgead part.png --maps overlays
    """
    if no_map and maps is not None:
        raise click.UsageError("--no-map and --maps exclude one another")
    detector = Detector.load(artifact, engine=engine, threads=threads)
    paths = list(expand_folders(images))
    names = _overlay_names(paths) if maps is not None else {}
    failed = without_map = 0
    for path in paths:
        overlay = None if maps is None else maps / names[path]
        line = _line(detector, path, overlay=overlay, with_map=not no_map)
        failed += line["verdict"] == "error"
        without_map += "map_error" in line
        click.echo(json_text(line) if as_json else _score_text(line))
    if failed:
        raise EdgeADError(f"{failed} of {len(paths)} images could not be scored")
    if without_map:
        raise EdgeADError(f"{without_map} of {len(paths)} overlays could not be written")


@main.command("watch")
@ARTIFACT
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--existing", is_flag=True, help="Also score the images that are there already.")
@click.option(
    "--every-ms",
    type=click.IntRange(min=1, max=60_000),
    default=200,
    show_default=True,
    help="Between two looks; an image is complete when it is the same in both.",
)
@click.option("--json-lines", type=click.Path(path_type=Path), help="Append the lines here too.")
@click.option("--maps", type=click.Path(path_type=Path), help="Write an overlay per image here.")
@ENGINE
@THREADS
def watch_folder(
    artifact: Path,
    folder: Path,
    existing: bool,
    every_ms: int,
    json_lines: Path | None,
    maps: Path | None,
    engine: EngineChoice,
    threads: int | None,
) -> None:
    """Score images as they come into a folder, one JSON line each.

    Goes on until SIGTERM or Ctrl-C, then finishes the image in hand and exits with 0. An image
    that cannot be read gets verdict "error"; a folder that is gone is waited for.

    \b
    Example: edge-ad watch line3.edgead /var/spool/camera --json-lines verdicts.jsonl
    """
    from edge_ad_runtime.images.watched_folder import WatchedFolder, stop_signals, watch
    from edge_ad_runtime.lines_file import LinesFile

    if maps is not None and maps.resolve() == folder.resolve():
        raise click.UsageError("--maps must be another folder than the one that is watched")
    with stop_signals() as stopped:
        watched = WatchedFolder(folder, existing=existing)
        lines_file = None if json_lines is None else LinesFile(json_lines)
        detector = Detector.load(artifact, engine=engine, threads=threads)
        click.echo(f"watching {shown(str(folder))}", err=True)
        for path in watch(watched, every_s=every_ms / 1e3, stopped=stopped, tell=_tell):
            overlay = None if maps is None else maps / f"{path.name}.png"
            found = _line(detector, path, overlay=overlay, with_map=overlay is not None)
            line = json_text({"time": _now(), **found})
            if lines_file is not None:
                lines_file.append(line)  # first: what is printed has been kept
            click.echo(line)


@main.command()
@ARTIFACT
@AS_JSON
@click.option("--junit", type=click.Path(path_type=Path), help="Also write JUnit XML here.")
@ENGINE
@THREADS
def verify(
    artifact: Path, as_json: bool, junit: Path | None, engine: EngineChoice, threads: int | None
) -> None:
    """Prove that this machine gives the exported scores.

    Hashes every file and replays the reference images; exit 0 only if every stage agrees.

    \b
    Example: edge-ad verify line3.edgead --junit verify.xml
    """
    from edge_ad_runtime.proof import verify as verifying

    try:
        report = verifying.verify(Detector.load(artifact, engine=engine, threads=threads))
    except EdgeADError as exc:
        if as_json:
            click.echo(json_text({"ok": False, "error": str(exc)}))
        if junit is not None:
            write_text(junit, verifying.junit_refusal(str(exc)))
        raise
    if junit is not None:
        write_text(junit, report.to_junit())
    if as_json:
        click.echo(report.to_json())
    else:
        _print_verify(report)
    if (failure := report.first_failure) is not None:
        raise EdgeADError(
            f"{artifact}: not verified; first failing stage: {failure.stage} "
            f"({failure.worst_difference:.3g} on {failure.image}, tolerance {failure.tolerance:g})"
        )


main.add_command(profile)


@main.command()
@ARTIFACT
@AS_JSON
def tune(artifact: Path, as_json: bool) -> None:
    """Find the fastest search and number of threads on this machine.

    Writes device.json into the artifact's folder and nothing else; scores and verdicts stay the
    same. Delete the file to go back to the artifact's own choice.

    \b
    Example: edge-ad tune line3.edgead
    """
    from edge_ad_runtime.artifact.folder import Artifact
    from edge_ad_runtime.profile import tune as tuning

    Artifact.open(artifact)  # refused before there is a progress bar
    with click.progressbar(length=tuning.ROUNDS, label="timing", file=sys.stderr) as bar:
        report = tuning.tune(artifact, tick=lambda: bar.update(1))
    if as_json:
        click.echo(json_text(asdict(report), indent=2))
        return
    for option in report.options:
        chosen = (option.search, option.threads) == (
            report.settings.search, report.settings.threads,
        )  # fmt: skip
        click.echo(
            f"{option.search:<9} search, {option.threads} threads {option.ms:8.1f} ms per image"
            + ("  <- written to device.json" if chosen else "")
        )


@main.command(name="compile")
@ARTIFACT
@AS_JSON
@click.option("--max-batch", type=click.IntRange(min=1), default=16, show_default=True)
@click.option(
    "--compute-capability",
    "capabilities",
    multiple=True,
    help="Compile for such GPUs, 8.9 for example, wherever they are (TensorRT-RTX); repeatable.",
)
@click.option(
    "--timing-cache",
    type=click.Path(path_type=Path),
    help="Keep TensorRT's measurements in this file: the next build is faster.",
)
def compile_(
    artifact: Path,
    as_json: bool,
    max_batch: int,
    capabilities: tuple[str, ...],
    timing_cache: Path | None,
) -> None:
    """Compile the network with TensorRT or TensorRT-RTX, for this machine's GPU.

    Writes plans into the artifact's folder engines, and nothing else. They are kept only if the
    reference images get the exported scores from them.

    \b
    Example: edge-ad compile line3.edgead
    """
    from edge_ad_runtime.proof.compiled import compile_plans, parse_capability

    report = compile_plans(
        artifact,
        capabilities=[parse_capability(text) for text in capabilities],
        max_batch=max_batch,
        timing_cache=timing_cache,
    )
    if as_json:
        click.echo(json_text(asdict(report), indent=2))
        return
    for name in report.plans:
        click.echo(f"engines/{name}")
    click.echo(
        "verified: they give the exported scores"
        if report.verified
        else "not verified: not run here; run edge-ad verify --engine tensorrt on the device"
    )


@main.command()
@ARTIFACT
@AS_JSON
def info(artifact: Path, as_json: bool) -> None:
    """Say what an artifact is and where its threshold is from.

    \b
    Example: edge-ad info line3.edgead
    """
    from edge_ad_runtime.artifact.folder import Artifact
    from edge_ad_runtime.device import machine
    from edge_ad_runtime.device.settings import read_device_settings

    opened = Artifact.open(artifact)
    manifest, tuned = opened.manifest, read_device_settings(opened)
    missing = opened.missing()
    if as_json:
        here = {
            "runtime_version": __version__,
            "machine": machine(),
            "tuned": None if tuned is None else asdict(tuned),
            "missing": missing,
        }
        click.echo(json_text({**asdict(manifest), **here}, indent=2))
        _refuse_missing(artifact, missing)
        return
    calibration = manifest.calibration
    size, resize = manifest.preprocessing.size, manifest.preprocessing.resize_px
    how = "shorter side scaled" if manifest.preprocessing.keep_aspect else "stretched"
    cut = "whole image, stretched" if resize is None else f"{how} to {resize}, centre cut"
    rows = {
        "schema": str(manifest.schema),
        "engine": manifest.engine,
        "input": f"{size[0]} x {size[1]} px ({cut})",
        **_member_rows(manifest.members),
        "threshold": f"{calibration.threshold:.6g} ({calibration.method}, "
        f"{calibration.images} held-out images)",
        "false rejects": _false_rejects(calibration),
        "reference": f"{len(manifest.reference)} images",
        "size": f"{sum(f.size_bytes for f in manifest.files.values()) / 1e6:.1f} MB "
        f"in {len(manifest.files)} files",
        "made with": ", ".join(f"{name} {v}" for name, v in manifest.versions.items()),
        "this device": f"edge-ad-runtime {__version__}, {_tuned(tuned)}",
        "sha256": manifest.sha256,
    }
    if manifest.precision_loss is not None:
        rows["precision loss"] = _precision_loss(manifest.precision_loss)
    for name, text in rows.items():
        click.echo(f"{name:<14} {shown(text)}")
    _refuse_missing(artifact, missing)


def _refuse_missing(artifact: Path, missing: Sequence[str]) -> None:
    if missing:
        raise EdgeADError(
            f"{artifact}: {', '.join(missing)} missing, or not of the size that the manifest says; "
            "copy the artifact again"
        )


def _member_rows(members: Sequence[Member]) -> dict[str, str]:
    """The rows of ``info`` about each network; numbered in an ensemble."""
    rows = {}
    for i, member in enumerate(members, start=1):
        network = member.network
        number = f" {i}" if len(members) > 1 else ""
        processors = f" for {network.quantised_for}" if network.quantised_for else ""
        origin = {key: text for key, text in network.origin.items() if key != "weights_sha256"}
        rows[f"method{number}"] = f"{origin.pop('method', 'unknown')} ({member.head.kind})"
        rows[f"network{number}"] = (
            f"{network.precision}{processors}, "
            + ", ".join(f"{key.replace('_', ' ')} {text}" for key, text in origin.items())
            + (f"; scores divided by {member.scale:.5g}" if number else "")
        )
        rows |= {f"{name}{number}": text for name, text in _head_rows(member.head).items()}
    return rows


def _head_rows(head: HeadRecord) -> dict[str, str]:
    rows, cols = head.grid
    if head.kind == "direct":
        return {"map": f"{rows} x {cols} values that the network gives"}
    return {
        "features": f"{rows} x {cols} patches of {head.dimension}",
        "bank": f"{head.bank.rows} patches",
        "search": f"{head.search.kind}: {head.search.reason}",
    }


def _false_rejects(calibration: Calibration) -> str:
    if calibration.images == 0:
        return "unknown: no good image was held out"
    low, high = calibration.interval
    return (
        f"at most {calibration.false_reject_rate:.2%} of good parts expected "
        f"(90% interval {low:.2%} to {high:.2%})"
    )


def _precision_loss(loss: PrecisionLoss) -> str:
    text = f"scores off by {loss.score_mean:.2%}, worst {loss.score_worst:.2%}, against float32"
    if loss.auroc is not None and loss.auroc_fp32 is not None:
        text += f"; image AUROC {loss.auroc:.4f}, float32 {loss.auroc_fp32:.4f}"
    return text + ("; accepted by hand" if loss.accepted else "")


def _tuned(settings: DeviceSettings | None) -> str:
    if settings is None:
        return "not tuned: the artifact's search, all cores"
    return f"tuned: {settings.search} search on {settings.threads} threads, {settings.reason}"


def _overlay_names(paths: Sequence[Path]) -> dict[Path, Path]:
    """Each image's path below the deepest folder that all share: names cannot collide."""
    folders = [path.absolute().parent.parts for path in paths]
    shared = 0
    for level in zip(*folders, strict=False):
        if len(set(level)) > 1:
            break
        shared += 1
    return {p: Path(*p.absolute().parts[shared:-1], p.name + ".png") for p in paths}


def _line(
    detector: Detector, path: Path, *, overlay: Path | None, with_map: bool
) -> dict[str, Any]:
    """Score one image; an overlay that cannot be written is no reason to lose the verdict."""
    try:
        prediction = detector.predict(path, with_map=with_map)
    except EdgeADError as exc:
        threshold = detector.manifest.calibration.threshold
        return error_record(path, exc, threshold=threshold)
    line = prediction.to_record(path)
    if overlay is not None:
        try:
            _write_overlay(detector, path, prediction, overlay)
        except EdgeADError as exc:
            line["map_error"] = str(exc)
    return line


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def _score_text(line: dict[str, Any]) -> str:
    if line["verdict"] == "error":
        return f"{'error':<10} {shown(line['error'])}"
    return (
        f"{line['verdict']:<10} {line['score']:10.5g}  threshold {line['threshold']:.5g}  "
        f"{line['timings_ms']['total']:7.1f} ms  {shown(line['path'])}"
        + (f"  (no overlay: {shown(line['map_error'])})" if "map_error" in line else "")
    )


def _write_overlay(detector: Detector, path: Path, prediction: Prediction, out: Path) -> None:
    from edge_ad_runtime.pictures.overlay import draw_overlay

    write_png(out, draw_overlay(read_image(path), prediction, detector.manifest.preprocessing))


def _print_verify(report: VerifyReport) -> None:
    click.echo(f"{'stage':<12} {'worst':>10} {'tolerance':>10}  on")
    for stage in report.stages:
        click.echo(
            f"{stage.stage:<12} {stage.worst_difference:>10.2g} {stage.tolerance:>10.2g}  "
            f"{stage.image:<24} {'ok' if stage.ok else 'FAIL'}"
        )
    verdict = "verified" if report.ok else "NOT VERIFIED"
    click.echo(
        f"{verdict}: {report.images} reference images, {report.checked_bytes / 1e6:.1f} MB of "
        f"files, {report.engine} {report.engine_version} on {report.device}, {report.precision}, "
        f"{report.search} search"
    )
