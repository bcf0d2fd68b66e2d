"""``edge-ad export``: fit folders to an artifact. Torch is imported when it runs."""

from __future__ import annotations

from pathlib import Path

import click

from edge_ad.commands.config_file import config_option
from edge_ad_export.settings import ExportConfig
from edge_ad_runtime.commands.options import OVERWRITE, GroupedOption, SettingsCommand


@click.command(
    cls=SettingsCommand,
    settings=ExportConfig,
    group="Export",
    groups=("Network", "Loss", "Search", "Threshold", "Proof", "Output"),
)
@click.argument("fit_dirs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out",
    cls=GroupedOption,
    group="Output",
    required=True,
    type=click.Path(path_type=Path),
    help="The artifact's folder, NAME.edgead.",
)
@config_option("export")
@OVERWRITE
def export(fit_dirs: tuple[Path, ...], out: Path, overwrite: bool, config: ExportConfig) -> None:
    """Compile a fit folder into a proven artifact.

    Several fit folders, made from the same good images with the same seed, become an ensemble: the
    mean of their scores, each divided by what good images typically score.

    \b
    Example: edge-ad export line3.fit --out line3.edgead
    """
    from edge_ad.fitting.fitted import FittedDetector
    from edge_ad_export.exporting import export as export_fitted
    from edge_ad_export.precision.loss import describe

    fitted = [FittedDetector.load(folder) for folder in fit_dirs]
    report = export_fitted(fitted, out, config, overwrite=overwrite, progress=True)
    searches = "".join(f"search {text}\n" for text in report.searches)
    networks = "".join(f"network {text}\n" for text in report.networks)
    if report.precision_loss is not None:
        networks += f"loss {describe(report.precision_loss)}\n"
    click.echo(
        f"{out}: {report.size_bytes / 1e6:.1f} MB; outputs within "
        f"{report.output_difference:.1e} of torch's\n{networks}{searches}"
        f"verified on {report.verification.images} reference images with "
        f"{report.verification.engine}; check the device with: "
        f"edge-ad verify {out}"
    )
    if config.engine == "tensorrt":
        click.echo(
            f"compiled and verified here: {', '.join(report.plans)}"
            if report.plans
            else f"no GPU here, so no plan; on the device: edge-ad compile {out}"
        )
