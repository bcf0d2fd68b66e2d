"""``edge-ad info``: what an artifact is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_ad_runtime import __version__
from edge_ad_runtime.commands.options import ARTIFACT, AS_JSON
from edge_ad_runtime.errors import EdgeADError
from edge_ad_runtime.escaping import json_text, shown

if TYPE_CHECKING:
    from edge_ad_runtime.artifact.a_contrario_records import AContrarioRecord
    from edge_ad_runtime.artifact.calibration_records import Calibration
    from edge_ad_runtime.artifact.head_records import (
        BankRecord,
        GallerySearchRecord,
        HeadRecord,
    )
    from edge_ad_runtime.artifact.schema import Manifest, Member, PrecisionLoss
    from edge_ad_runtime.device.settings import DeviceSettings
    from edge_ad_runtime.images.preprocess import Preprocessing


@click.command()
@ARTIFACT
@AS_JSON
def info(artifact: Path, as_json: bool) -> None:
    """Say what an artifact is and where its threshold is from.

    \b
    Example: edge-ad info line3.edgead
    """
    from edge_ad_runtime.artifact.folder import Artifact
    from edge_ad_runtime.decision.calibration import rate_table
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
            "rates": [asdict(row) for row in rate_table(manifest.calibration)],
        }
        click.echo(json_text({**asdict(manifest), **here}, indent=2))
    else:
        for name, text in _rows(manifest, tuned).items():
            click.echo(f"{name:<14} {shown(text)}")
    if missing:
        raise EdgeADError(
            f"{artifact}: {', '.join(missing)} missing, or not of the size that the manifest says; "
            "copy the artifact again"
        )


def _rows(manifest: Manifest, tuned: DeviceSettings | None) -> dict[str, str]:
    from edge_ad_runtime.decision.calibration import promise

    calibration = manifest.calibration
    rows = {
        "schema": str(manifest.schema),
        "engine": manifest.engine,
        "input": _input(manifest.preprocessing),
        **_member_rows(manifest.members),
        "threshold": describe_threshold(calibration),
        "false rejects": describe_false_rejects(calibration),
        "promise": promise(calibration) or "none",
        "thresholds": _thresholds(calibration),
        "reference": f"{len(manifest.reference)} images",
        "size": f"{sum(f.size_bytes for f in manifest.files.values()) / 1e6:.1f} MB "
        f"in {len(manifest.files)} files",
        "made with": ", ".join(f"{name} {v}" for name, v in manifest.versions.items()),
        "this device": f"edge-ad-runtime {__version__}, {_tuned(tuned)}",
        "sha256": manifest.sha256,
    }
    if manifest.precision_loss is not None:
        rows["precision loss"] = _precision_loss(manifest.precision_loss)
    return rows


def _input(preprocessing: Preprocessing) -> str:
    (height, width), resize = preprocessing.size, preprocessing.resize_px
    how = "shorter side scaled" if preprocessing.keep_aspect else "stretched"
    cut = "whole image, stretched" if resize is None else f"{how} to {resize}, centre cut"
    return f"{height} x {width} px ({cut})"


def _member_rows(members: Sequence[Member]) -> dict[str, str]:
    """The rows of ``info`` about each network. In an ensemble they are numbered."""
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
    if head.kind == "a-contrario":
        return {"test": _test(head)}
    if head.kind == "direct":
        rows, cols = head.grid
        return {"map": f"{rows} x {cols} values that the network gives"}
    search = {"search": f"{head.search.kind}: {head.search.reason}"}
    if head.kind == "gallery-search":
        return {**_gallery_rows(head), **search}
    rows, cols = head.grid
    return {
        "features": f"{rows} x {cols} patches of {head.dimension}",
        "bank": f"{head.bank.rows} patches",
        **_certificate_rows(head.bank),
        **search,
    }


def _certificate_rows(bank: BankRecord) -> dict[str, str]:
    """How well the bank covers the good images, for people."""
    if (certificate := bank.certificate) is None:
        return {}
    return {
        "covers": f"each good patch is within {certificate.covering_radius:.4g} of one in the "
        f"bank, {certificate.ratio:.2f} times the least possible at most"
    }


def _gallery_rows(head: GallerySearchRecord) -> dict[str, str]:
    grids = [f"{layer.output} {layer.grid[0]} x {layer.grid[1]}" for layer in head.layers]
    away = "" if head.window is None else f", {head.window} positions away at most"
    only = " of suspicious images" if head.mapped == "suspicious" else ""
    return {
        "gallery": f"{head.gallery.images} images, the {head.neighbours} nearest are compared with",
        "map": f"{', '.join(grids)}{only}{away}",
        "score": "the map's largest value" if head.score == "map" else "of the pooled features",
    }


def _test(head: AContrarioRecord) -> str:
    scales = ", ".join(
        f"{scale.grid[0]} x {scale.grid[1]} of {scale.degrees:.3g} degrees" for scale in head.scales
    )
    price = f"; price {head.price:.3g} decades"
    if head.test.kind == "tree":
        return f"regions, counted {head.test.counting}, on {scales}{price}"
    return f"windows of {head.test.window}, on {scales}{price}"


def describe_threshold(calibration: Calibration) -> str:
    """The threshold and where it is from, for people."""
    text = f"{calibration.threshold:.6g} ({calibration.method}, {calibration.images} good images)"
    if (exported := calibration.exported) is None:
        return text
    return (
        f"{text}; moved by edge-ad threshold from {exported.threshold:.6g} ({exported.method}) of "
        f"the export {exported.sha256[:12]}"
    )


def _thresholds(calibration: Calibration) -> str:
    """The thresholds of the usual rates, as far as the scores support them."""
    from edge_ad_runtime.decision.calibration import rate_table, supported, why_no_rates

    if why := why_no_rates(calibration):
        return f"of no rate known: {why}"
    known = [
        f"{row.false_reject_rate * 100:.4g}%: {row.threshold:.6g}"
        for row in rate_table(calibration)
        if row.threshold is not None
    ]
    return f"{', '.join(known)}; {supported(calibration.images)}"


def describe_false_rejects(calibration: Calibration) -> str:
    """What the threshold is worth, for people."""
    from edge_ad_runtime.decision.calibration import scores_from

    if calibration.images == 0:
        return "unknown: it carries no scores of good images that were left out of the fit"
    low, high = calibration.interval
    how = "about" if scores_from(calibration) == "leave-one-out" else "at most"
    if calibration.method == "a-contrario":
        rejected = sum(score > calibration.threshold for score in calibration.scores)
        return (
            f"{calibration.false_alarms:g} at most expected in each image of noise; {rejected} of "
            f"{calibration.images} held-out good images (90% interval {low:.2%} to {high:.2%})"
        )
    return (
        f"{how} {calibration.false_reject_rate:.2%} of good parts expected "
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
