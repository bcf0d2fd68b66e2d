"""``edge-ad fit``: good images to a fit folder. Torch is imported when it runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_ad.commands.cluster import CLUSTER, CLUSTER_GROUP
from edge_ad.commands.config_file import config_option, value_among
from edge_ad.methods import METHODS, settings_class
from edge_ad.networks.settings import NetworkSettings
from edge_ad_runtime.commands.options import OVERWRITE, GroupedOption, SettingsCommand
from edge_ad_runtime.commands.talk import remark
from edge_ad_runtime.errors import ConfigError

if TYPE_CHECKING:
    from edge_ad.fitting.fitted import FittedDetector
    from edge_ad_runtime.artifact.calibration_records import Calibration

_DEFAULT_METHOD = "patchcore"
_ON_CONTACT_SHEET = 12
_BEFORE = ("Images", "Network", "Features")  # the titles of options before the method's own
_AFTER = (
    "Training",
    "Training by sampling",
    "Test",
    "Threshold",
    CLUSTER_GROUP,
    "Output",
)


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
    """The method that was typed, or that the file of ``--config`` has, or else the default.

    Of a method that there is not it is the default, and click then refuses what was typed.
    """
    found = value_among(arguments, "--method")
    if found is None and (path := value_among(arguments, "--config")):
        found = _method_in(Path(path))
    return found if found in METHODS else _DEFAULT_METHOD


def _method_in(path: Path) -> str | None:
    from edge_ad.fitting.settings_file import read_table

    found = read_table(path, "fit").get("method")
    if found is not None and found not in METHODS:
        raise ConfigError(f"{path}: fit.method is {found!r}; known are {', '.join(METHODS)}")
    return found


@click.command(cls=FitCommand)
@click.argument("good_dir")
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
@CLUSTER
@click.option(
    "--work",
    cls=GroupedOption,
    group=CLUSTER_GROUP,
    type=click.Path(path_type=Path),
    help="With --cluster, the folder for features, which all machines must reach. A second start "
    "goes on from there.  [default: OUT.work]",
)
@click.option(
    "--skip-unreadable",
    cls=GroupedOption,
    group=CLUSTER_GROUP,
    is_flag=True,
    help="With --cluster, leave out images that cannot be read, and name them.",
)
@config_option("fit")
@OVERWRITE
def fit(
    good_dir: str,
    out: Path,
    pattern: str,
    contact_sheet: Path | None,
    cluster: str | None,
    work: Path | None,
    skip_unreadable: bool,
    overwrite: bool,
    config: Any,  # of the method's own class
) -> None:
    """Learn what good parts look like from good images.

    \b
    Example: edge-ad fit good_parts --out line3.fit
    """
    from edge_ad.fitting.advice import advise
    from edge_ad.fitting.contact_sheet import draw_contact_sheet
    from edge_ad.fitting.fitted import FIT
    from edge_ad.fitting.fitting import fit as fit_detector
    from edge_ad.images.facts import look_at
    from edge_ad.images.named import is_url, list_named
    from edge_ad.networks.weights import warning_of
    from edge_ad_runtime.artifact.atomic import check_free
    from edge_ad_runtime.images import write_png

    inputs = [] if is_url(good_dir) else [Path(good_dir)]
    if isinstance(config, NetworkSettings):
        inputs.append(Path(config.weights))
    check_free(out, overwrite=overwrite, kind=FIT, inputs=inputs)
    names = list_named(good_dir, pattern)
    notes: tuple[str, ...] = ()
    advice: list[str | None] = []
    if isinstance(config, NetworkSettings):
        resolved = config.resolved()
        remark(f"network {resolved.backbone}, weights {resolved.weights}")
        advice = [warning_of(resolved)]
    if cluster is None:
        _refuse_without_cluster(good_dir, work, skip_unreadable)
        fitted = fit_detector(names, config, progress=True)
        advice = [*advise(look_at([Path(name) for name in names]), config), *advice]
    else:
        work = work or out.with_name(f"{out.name}.work")
        fitted, notes = _fit_on(cluster, names, config, work, skip_unreadable)
    fitted.save(out, overwrite=overwrite)
    click.echo("\n".join([_describe(fitted, out), *notes]))
    for line in filter(None, advice):
        remark(f"advice: {line}")
    if contact_sheet is not None:
        shown = fitted.record.isolated[:_ON_CONTACT_SHEET]
        sheet = draw_contact_sheet(shown, config.preprocessing)
        write_png(contact_sheet, sheet)


def _refuse_without_cluster(good_dir: str, work: Path | None, skip_unreadable: bool) -> None:
    """Refuse what a cluster alone can do, rather than to ignore it.

    Raises:
        ConfigError: it was asked for.
    """
    from edge_ad.images.named import is_url

    given = {
        f"GOOD_DIR is {good_dir}, a URL": is_url(good_dir),
        f"work is {work}": work is not None,
        "skip_unreadable is given": skip_unreadable,
    }
    for what, is_given in given.items():
        if is_given:
            raise ConfigError(f"{what}; give --cluster too (inline works in this process)")


def _fit_on(
    address: str, names: list[str], config: Any, work: Path, skip_unreadable: bool
) -> tuple[FittedDetector, tuple[str, ...]]:
    from edge_ad.compute import connect
    from edge_ad.fitting.on_cluster import fit_on

    with connect(address) as cluster:
        click.echo(f"cluster {address}: {cluster.slots} at once; features in {work}", err=True)
        return fit_on(cluster, names, config, work, skip_unreadable=skip_unreadable, progress=True)


def _describe(fitted: FittedDetector, out: Path) -> str:
    kept = fitted.method.describe(fitted.kept)
    images = sum(not image.held_out for image in fitted.record.images)
    lines = [f"{out}: {kept} from {images} images"]
    if (certificate := fitted.record.certificate) is not None:
        lines.append(
            f"each good patch is within {certificate.covering_radius:.4g} of one in the bank, "
            f"{certificate.ratio:.2f} times the least possible at most"
        )
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
