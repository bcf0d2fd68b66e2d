"""The ``edge-ad`` command. Results go to stdout, talk to stderr; exit 0 fine, 1 refused, 2 usage.

``score``, ``verify``, ``profile`` and ``info`` live here and run on a device. Other distributions
add commands through the entry-point group ``edge_ad.commands``, imported only when used.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import cv2

from edge_ad_runtime import __version__
from edge_ad_runtime.cli_options import ARTIFACT, AS_JSON, ENGINE, THREADS, write_text
from edge_ad_runtime.detector import Detector, Prediction
from edge_ad_runtime.errors import EdgeADError
from edge_ad_runtime.images import expand_folders, read_image, write_png
from edge_ad_runtime.profile.command import profile

if TYPE_CHECKING:
    from edge_ad_runtime.device import DeviceSettings
    from edge_ad_runtime.engines import EngineChoice
    from edge_ad_runtime.manifest import Calibration, Member, PrecisionLoss
    from edge_ad_runtime.verify import VerifyReport


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

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; an EdgeADError is told in one line and is exit code 1."""
        try:
            return super().invoke(ctx)
        except EdgeADError as exc:
            click.echo(f"edge-ad: {exc}", err=True)
            ctx.exit(1)


def _plugins() -> Iterable[Any]:
    return entry_points(group="edge_ad.commands")


@click.group(cls=EdgeADGroup)
@click.version_option(__version__, prog_name="edge-ad")
def main() -> None:
    """Learn what good parts look like; ship a compiled detector that a factory device can trust.

    \b
    Example: edge-ad score line3.edgead part.png
    """
    # its decoders' chatter; we report the file ourselves
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    warnings.showwarning = lambda message, *_: click.echo(f"edge-ad: warning: {message}", err=True)


@main.command()
@ARTIFACT
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
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
    others go on, and the exit code is 1.

    \b
    Example: edge-ad score line3.edgead part.png --maps overlays
    """
    if no_map and maps is not None:
        raise click.UsageError("--no-map and --maps exclude one another")
    detector = Detector.load(artifact, engine=engine, threads=threads)
    paths = list(expand_folders(images))
    failed = 0
    for path in paths:
        try:
            prediction = detector.predict(path, with_map=not no_map)
        except EdgeADError as exc:
            failed += 1
            line = _error_line(path, exc, detector)
        else:
            line = _prediction_line(path, prediction)
        click.echo(json.dumps(line, ensure_ascii=False) if as_json else _score_text(line))
        if maps is not None and line["verdict"] != "error":
            _write_overlay(detector, path, prediction, maps / _overlay_name(path, paths))
    if failed:
        raise EdgeADError(f"{failed} of {len(paths)} images could not be scored")


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
    that cannot be read gets verdict "error".

    \b
    Example: edge-ad watch line3.edgead /var/spool/camera --json-lines verdicts.jsonl
    """
    from edge_ad_runtime.watch import WatchedFolder, stop_signals, watch

    if maps is not None and maps.resolve() == folder.resolve():
        raise click.UsageError("--maps must be another folder than the one that is watched")
    with stop_signals() as stopped:
        watched = WatchedFolder(folder, existing=existing)
        if json_lines is not None:
            write_text(json_lines, "", mode="a")
        detector = Detector.load(artifact, engine=engine, threads=threads)
        click.echo(f"watching {folder}", err=True)
        for path in watch(watched, every_s=every_ms / 1e3, stopped=stopped):
            line = json.dumps(_watch_line(detector, path, maps), ensure_ascii=False)
            click.echo(line)
            if json_lines is not None:
                write_text(json_lines, line + "\n", mode="a")


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
    from edge_ad_runtime import verify as verifying

    try:
        report = verifying.verify(Detector.load(artifact, engine=engine, threads=threads))
    except EdgeADError as exc:
        if as_json:
            click.echo(json.dumps({"ok": False, "error": str(exc)}, ensure_ascii=False))
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
    from edge_ad_runtime import tune as tuning
    from edge_ad_runtime.artifact import Artifact

    Artifact.open(artifact)  # refused before there is a progress bar
    with click.progressbar(length=tuning.ROUNDS, label="timing", file=sys.stderr) as bar:
        report = tuning.tune(artifact, tick=lambda: bar.update(1))
    if as_json:
        click.echo(json.dumps(asdict(report), ensure_ascii=False, indent=2))
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
    from edge_ad_runtime.compiling import compile_plans, parse_capability

    report = compile_plans(
        artifact,
        capabilities=[parse_capability(text) for text in capabilities],
        max_batch=max_batch,
        timing_cache=timing_cache,
    )
    if as_json:
        click.echo(json.dumps(asdict(report), ensure_ascii=False, indent=2))
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
    from edge_ad_runtime.artifact import Artifact
    from edge_ad_runtime.device import machine, read_device_settings

    opened = Artifact.open(artifact)
    manifest, tuned = opened.manifest, read_device_settings(opened)
    if as_json:
        here = {
            "runtime_version": __version__,
            "machine": machine(),
            "tuned": None if tuned is None else asdict(tuned),
        }
        click.echo(json.dumps({**asdict(manifest), **here}, ensure_ascii=False, indent=2))
        return
    calibration = manifest.calibration
    size, resize = manifest.preprocessing.size, manifest.preprocessing.resize_px
    how = "shorter side scaled" if manifest.preprocessing.keep_aspect else "stretched"
    cut = "whole image, stretched" if resize is None else f"{how} to {resize}, centre cut"
    rows = {
        "method": f"{manifest.method} ({manifest.head}), schema {manifest.schema}",
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
        click.echo(f"{name:<14} {text}")


def _member_rows(members: Sequence[Member]) -> dict[str, str]:
    """The rows of ``info`` about each network; numbered in an ensemble."""
    rows = {}
    for i, member in enumerate(members, start=1):
        network, search = member.network, member.search
        number = f" {i}" if len(members) > 1 else ""
        processors = f" for {network.quantised_for}" if network.quantised_for else ""
        rows[f"network{number}"] = (
            f"{network.backbone}, {network.precision}{processors}, weights {network.weights}, "
            f"layers {', '.join(map(str, network.layers))}, patch size {network.patch_size}"
            + (f"; scores divided by {member.scale:.5g}" if number else "")
        )
        rows[f"features{number}"] = (
            f"{network.grid[0]} x {network.grid[1]} patches of {network.dimension}"
        )
        rows[f"bank{number}"] = f"{search.rows} patches"
        rows[f"search{number}"] = f"{search.kind}: {search.reason}"
    return rows


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


def _overlay_name(path: Path, paths: list[Path]) -> Path:
    """The path below the deepest folder that all images share: names cannot collide."""
    folders = [p.absolute().parent.parts for p in paths]
    shared = 0
    for level in zip(*folders, strict=False):
        if len(set(level)) > 1:
            break
        shared += 1
    return Path(*path.absolute().parts[shared:-1], path.name + ".png")


def _prediction_line(path: Path, prediction: Prediction) -> dict[str, Any]:
    return {
        "path": str(path),
        "score": prediction.score,
        "threshold": prediction.threshold,
        "verdict": prediction.verdict,
        "exact": prediction.exact,
        "scanned": prediction.scanned,
        "bound": prediction.bound,
        "timings_ms": {stage: round(ms, 3) for stage, ms in prediction.timings_ms.items()},
    }


def _error_line(path: Path, error: EdgeADError, detector: Detector) -> dict[str, Any]:
    return {
        "path": str(path),
        "score": None,
        "threshold": detector.manifest.calibration.threshold,
        "verdict": "error",
        "timings_ms": {},
        "error": str(error),
    }


def _watch_line(detector: Detector, path: Path, maps: Path | None) -> dict[str, Any]:
    """Score one image; an overlay that cannot be written is no reason to lose the verdict."""
    try:
        prediction = detector.predict(path, with_map=maps is not None)
    except EdgeADError as exc:
        line = _error_line(path, exc, detector)
    else:
        line = _prediction_line(path, prediction)
        if maps is not None:
            try:
                _write_overlay(detector, path, prediction, maps / f"{path.name}.png")
            except EdgeADError as exc:
                line["map_error"] = str(exc)
    return {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), **line}


def _score_text(line: dict[str, Any]) -> str:
    if line["verdict"] == "error":
        return f"{'error':<10} {line['error']}"
    return (
        f"{line['verdict']:<10} {line['score']:10.5g}  threshold {line['threshold']:.5g}  "
        f"{line['timings_ms']['total']:7.1f} ms  {line['path']}"
    )


def _write_overlay(detector: Detector, path: Path, prediction: Prediction, out: Path) -> None:
    from edge_ad_runtime.overlay import draw_overlay

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
