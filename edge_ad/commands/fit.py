"""``edge-ad fit``: good images to a fit folder. Torch is imported when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_ad.methods.patchcore.settings import BACKBONES, SUBSAMPLERS
from edge_ad_runtime.commands.options import OVERWRITE

if TYPE_CHECKING:
    from edge_ad.fitting.fitted import FittedDetector
    from edge_ad_runtime.artifact.manifest import Calibration

_ON_CONTACT_SHEET = 12


def parse_size(ctx: click.Context, param: click.Parameter, value: str) -> tuple[int, int]:
    """``224`` or ``HEIGHTxWIDTH`` to ``(height, width)``."""
    parts = value.lower().split("x")
    if len(parts) > 2 or not all(part.isdecimal() for part in parts):
        raise click.BadParameter(f"{value!r} is neither a number nor HEIGHTxWIDTH, such as 192x256")
    return int(parts[0]), int(parts[-1])


def parse_layers(ctx: click.Context, param: click.Parameter, value: str) -> tuple[int, ...]:
    """``2,3`` to ``(2, 3)``."""
    parts = [part.strip().removeprefix("layer") for part in value.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise click.BadParameter(f"{value!r} is not a list of layers such as 2,3")
    return tuple(int(part) for part in parts)


@click.command()
@click.argument("good_dir", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The fit folder.")
@click.option(
    "--backbone",
    default="auto",
    help=", ".join(BACKBONES) + "; or timm:NAME (with the extra edge-ad[timm]).  "
    "[default: procedural; resnet18 with other weights]",
)
@click.option(
    "--weights",
    default="default",
    show_default=True,
    help="default (in the package; trained on drawn images alone), imagenet (downloaded once), "
    "untrained (random numbers), or a .safetensors or .pth file.",
)
@click.option(
    "--layers", default="2,3", show_default=True, callback=parse_layers, help="Stages, of 1 to 4."
)
@click.option(
    "--convention",
    default="paper",
    show_default=True,
    help="paper, inspection or anomalib: how patches are aggregated and scored.",
)
@click.option("--patch-size", default=3, show_default=True, help="Odd, 1 to 13.")
@click.option("--stride", default=1, show_default=True, help="Use every s-th patch, 1 to 4.")
@click.option(
    "--aggregated-dim",
    type=int,
    help="Average each neighbourhood in so many bins; 0: means of all channels.  "
    "[default: the convention's]",
)
@click.option(
    "--whiten/--no-whiten",
    default=None,
    help="Scale features by how good images vary.  [default: with the weights default]",
)
@click.option(
    "--size",
    default="224",
    show_default=True,
    callback=parse_size,
    help="Network input in pixels: one number or HEIGHTxWIDTH.",
)
@click.option(
    "--resize",
    "resize_px",
    type=int,
    help="Scale to this and cut SIZE from the centre (the paper: 256).  "
    "[default: stretch the whole image to SIZE, so that all of it is inspected]",
)
@click.option("--keep-aspect", is_flag=True, help="With --resize: scale the shorter side to it.")
@click.option(
    "--coreset-fraction", default=0.1, show_default=True, help="Share of patches in the bank."
)
@click.option(
    "--subsampler", default="greedy", show_default=True, help=", ".join(SUBSAMPLERS) + "."
)
@click.option("--neighbours", default=1, show_default=True, help="k nearest, averaged.")
@click.option(
    "--reweight-neighbours", type=int, help="b of eq. 7; 0: off.  [default: the convention's]"
)
@click.option("--shots", type=int, help="Use so many of the images, drawn by seed.")
@click.option(
    "--holdout-fraction",
    default=0.2,
    show_default=True,
    help="Share of the images that sets the threshold; 0: give it to export.",
)
@click.option(
    "--false-reject-rate",
    type=float,
    help="Share of good parts that may be rejected.  [default: the smallest the images support]",
)
@click.option(
    "--exclude-outliers",
    type=float,
    help="Leave images out whose most isolated patch is farther from all other images than this "
    "many times the usual, such as 2.  [default: keep all]",
)
@click.option(
    "--contact-sheet",
    type=click.Path(path_type=Path),
    help="Write a picture of the most isolated patches: is there a defect among the good?",
)
@click.option("--seed", default=0, show_default=True, help="Of hold-out, coreset and untrained.")
@click.option("--glob", "pattern", default="*", help="Which files of GOOD_DIR, such as '*.jpg'.")
@OVERWRITE
def fit(
    good_dir: Path,
    out: Path,
    pattern: str,
    contact_sheet: Path | None,
    overwrite: bool,
    **settings: object,
) -> None:
    """Learn what good parts look like from good images.

    \b
    Example: edge-ad fit good_parts --out line3.fit
    """
    from edge_ad.features.isolation import draw_contact_sheet
    from edge_ad.fitting.fitted import FIT
    from edge_ad.fitting.fitting import fit as fit_patchcore
    from edge_ad.images.good import list_images
    from edge_ad.methods.patchcore.settings import PatchCoreConfig
    from edge_ad.networks.weights import WARNINGS
    from edge_ad_runtime.artifact.atomic import check_free
    from edge_ad_runtime.images import write_png

    config = PatchCoreConfig(**settings)  # type: ignore[arg-type]  # click has checked the types
    check_free(out, overwrite=overwrite, kind=FIT, inputs=[good_dir, Path(config.weights)])
    if config.weights in WARNINGS:
        click.secho(WARNINGS[config.weights], err=True, fg="yellow")
    fitted = fit_patchcore(list_images(good_dir, pattern), config, progress=True)
    fitted.save(out, overwrite=overwrite)
    click.echo(_describe(fitted, out))
    if contact_sheet is not None:
        shown = fitted.record.isolated[:_ON_CONTACT_SHEET]
        sheet = draw_contact_sheet(shown, config.preprocessing, fitted.record.grid)
        write_png(contact_sheet, sheet)


def _describe(fitted: FittedDetector, out: Path) -> str:
    bank = fitted.bank.features
    images = sum(image.held_out_score is None for image in fitted.record.images)
    lines = [f"{out}: bank of {bank.shape[0]} patches x {bank.shape[1]} from {images} images"]
    return "\n".join([*lines, _threshold_line(fitted.record.calibration), *_isolated_lines(fitted)])


def _threshold_line(calibration: Calibration | None) -> str:
    if calibration is None:
        return "no threshold, no image was held out: give edge-ad export a --threshold"
    low, high = calibration.interval
    rate = f"{calibration.false_reject_rate:.2%}"
    smallest = calibration.requested_rate is None
    return (
        f"threshold {calibration.threshold:.6g} from {calibration.images} held-out images "
        f"({calibration.method}): at most {rate} of good parts rejected on average "
        f"(90% interval {low:.2%} to {high:.2%})"
        + (f"; {rate} is the smallest rate so many images support" if smallest else "")
    )


def _isolated_lines(fitted: FittedDetector) -> list[str]:
    """The image to look at first, and those left out."""
    isolated = fitted.record.isolated
    if not isolated:
        return []
    first, excluded = isolated[0], [patch.path for patch in isolated if patch.excluded]
    lines = [
        f"most isolated good image: {first.path} ({first.relative:.2f} times the median; if it is "
        "not good, nothing like it will be found: see --contact-sheet)"
    ]
    return lines + [f"excluded from the bank: {path}" for path in excluded]
