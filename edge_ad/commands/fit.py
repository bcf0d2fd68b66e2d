"""``edge-ad fit``: good images to a fit folder. Torch is imported when it runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_ad.methods import METHODS, settings_class
from edge_ad.networks.settings import NetworkSettings
from edge_ad_runtime.commands.options import OVERWRITE, GroupedOption, SettingsCommand

if TYPE_CHECKING:
    from edge_ad.fitting.fitted import FittedDetector
    from edge_ad_runtime.artifact.calibration_records import Calibration

_DEFAULT_METHOD = "patchcore"
_ON_CONTACT_SHEET = 12
_BEFORE = ("Images", "Network", "Features")  # the titles of options before the method's own
_AFTER = ("Training", "Training by sampling", "Test", "Threshold", "Output")


class FitCommand(click.Command):
    """``fit`` before it knows its method. Its arguments then make it the command of one method."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Parse the arguments with the options of the method that ``--method`` among them names."""
        return self.of(_method_among(args)).make_context(info_name, args, parent, **extra)

    def of(self, method: str) -> SettingsCommand:
        """The command with the options of one method."""
        title = f"Method {method}"
        choice = GroupedOption(
            ["--method"],
            group=title,
            type=click.Choice(list(METHODS)),
            default=_DEFAULT_METHOD,
            show_default=True,
            expose_value=False,  # the settings know it
            help="How good parts are learned. Give it with --help to see the method's options.",
        )
        return SettingsCommand(
            self.name,
            settings=settings_class(method),
            group=title,
            groups=(*_BEFORE, title, *_AFTER),
            params=[*self.params, choice],
            callback=self.callback,
            help=self.help,
        )


def _method_among(arguments: Sequence[str]) -> str:
    """The method that the last ``--method`` names, or the default if there is no such method."""
    found = _DEFAULT_METHOD
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        name, equals, value = argument.partition("=")
        if name == "--method":
            found = value if equals else following
    return found if found in METHODS else _DEFAULT_METHOD  # which click then refuses


@click.command(cls=FitCommand)
@click.argument("good_dir", type=click.Path(path_type=Path))
@click.option(
    "--glob",
    "pattern",
    cls=GroupedOption,
    group="Images",
    default="*",
    show_default=True,
    help="Which files of GOOD_DIR are used, such as '*.jpg'.",
)
@click.option(
    "--out",
    cls=GroupedOption,
    group="Output",
    required=True,
    type=click.Path(path_type=Path),
    help="The fit folder.",
)
@click.option(
    "--contact-sheet",
    cls=GroupedOption,
    group="Output",
    type=click.Path(path_type=Path),
    help="Write a picture of the most isolated patches: is there a defect among the good?",
)
@OVERWRITE
def fit(
    good_dir: Path,
    out: Path,
    pattern: str,
    contact_sheet: Path | None,
    overwrite: bool,
    config: Any,  # of the method's own class
) -> None:
    """Learn what good parts look like from good images.

    \b
    Example: edge-ad fit good_parts --out line3.fit
    """
    from edge_ad.fitting.contact_sheet import draw_contact_sheet
    from edge_ad.fitting.fitted import FIT
    from edge_ad.fitting.fitting import fit as fit_detector
    from edge_ad.images.good import list_images
    from edge_ad.networks.weights import warning_of
    from edge_ad_runtime.artifact.atomic import check_free
    from edge_ad_runtime.images import write_png

    inputs = [good_dir]
    if isinstance(config, NetworkSettings):
        inputs.append(Path(config.weights))
        resolved = config.resolved()
        click.echo(f"network {resolved.backbone}, weights {resolved.weights}", err=True)
        if warning := warning_of(resolved):
            click.secho(warning, err=True, fg="yellow")
    check_free(out, overwrite=overwrite, kind=FIT, inputs=inputs)
    fitted = fit_detector(list_images(good_dir, pattern), config, progress=True)
    fitted.save(out, overwrite=overwrite)
    click.echo(_describe(fitted, out))
    if contact_sheet is not None:
        shown = fitted.record.isolated[:_ON_CONTACT_SHEET]
        sheet = draw_contact_sheet(shown, config.preprocessing)
        write_png(contact_sheet, sheet)


def _describe(fitted: FittedDetector, out: Path) -> str:
    kept = fitted.method.describe(fitted.kept)
    images = sum(not image.held_out for image in fitted.record.images)
    lines = [f"{out}: {kept} from {images} images"]
    return "\n".join([*lines, _threshold_line(fitted.record.calibration), *_isolated_lines(fitted)])


def _threshold_line(calibration: Calibration | None) -> str:
    from edge_ad_runtime.decision.calibration import promise

    if calibration is None:
        return "no threshold, no image was left out: give edge-ad export a --threshold"
    low, high = calibration.interval
    rate = f"{calibration.false_reject_rate:.2%}"
    if calibration.method == "a-contrario":
        return _a_contrario_line(calibration)
    smallest = calibration.requested_rate is None
    is_estimate = calibration.method == "leave-one-out"
    return (
        f"threshold {calibration.threshold:.6g} from {calibration.images} good images "
        f"({calibration.method}): {'about' if is_estimate else 'at most'} {rate} of good parts "
        f"rejected on average (90% interval {low:.2%} to {high:.2%})"
        + (f"; {rate} is the smallest rate so many images support" if smallest else "")
        + f"; {promise(calibration)}"
    )


def _a_contrario_line(calibration: Calibration) -> str:
    low, high = calibration.interval
    threshold = (
        f"threshold {calibration.threshold:.6g} (a-contrario): false alarms expected in each image "
        f"of noise {calibration.false_alarms:g} at most; "
    )
    if not calibration.images:
        return threshold + "no good image was held out, so nothing is known of what it rejects"
    rejected = sum(score > calibration.threshold for score in calibration.scores)
    return (
        f"{threshold}it rejects {rejected} of {calibration.images} held-out good images (90% "
        f"interval of the rate {low:.2%} to {high:.2%})"
    )


def _isolated_lines(fitted: FittedDetector) -> list[str]:
    """The lines that name the image to look at first, and the images that were left out."""
    isolated = fitted.record.isolated
    if not isolated:
        return []
    first, excluded = isolated[0], [patch.path for patch in isolated if patch.excluded]
    lines = [
        f"most isolated good image: {first.path} ({first.relative:.2f} times the median; if it is "
        "not good, nothing like it will be found: see --contact-sheet)"
    ]
    return lines + [f"left out: {path}" for path in excluded]
