"""``edge-ad export``: fit folders to an artifact. Torch is imported when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import click

from edge_ad_runtime.artifact.manifest import QuantisedFor
from edge_ad_runtime.commands.options import OVERWRITE
from edge_ad_runtime.engines import ENGINES


@click.command()
@click.argument("fit_dirs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="NAME.edgead")
@click.option(
    "--engine",
    type=click.Choice(ENGINES),
    default="onnxruntime",
    show_default=True,
    help="What devices are to run the network with.",
)
@click.option(
    "--precision",
    type=click.Choice(["fp32", "fp16", "bf16", "int8"]),
    default="fp32",
    show_default=True,
    help="What the network computes in; below fp32 the bank and the threshold are learned anew "
    "from the images of the fit, and the loss is measured.",
)
@click.option(
    "--target",
    type=click.Choice(get_args(QuantisedFor)),
    default="any",
    show_default=True,
    help="Processors that an int8 network is for. any: 7-bit weights, the same sums on all of "
    "them; the others: 8-bit weights, for x86 with VNNI, ARM or GPUs alone.",
)
@click.option(
    "--loss-tolerance",
    default=0.05,
    show_default=True,
    help="Mean error of scores that a reduced precision may cost.",
)
@click.option("--accept-loss", is_flag=True, help="Export even if it costs more.")
@click.option(
    "--labelled",
    type=click.Path(path_type=Path),
    help="Labelled images, as of evaluate: the loss in image AUROC.",
)
@click.option(
    "--search",
    type=click.Choice(["auto", "exact", "hnsw", "graph"]),
    default="auto",
    show_default=True,
    help="auto measures exact and hnsw and keeps the faster within tolerance; graph: exact, inside "
    "the network's graph.",
)
@click.option(
    "--map-tolerance",
    default=0.0006,
    show_default=True,
    help="Mean error of patch distances that an approximate search may have.",
)
@click.option(
    "--bank-precision",
    type=click.Choice(["float32", "float16"]),
    default="float32",
    show_default=True,
    help="float16: half the bank's size on disk; scores move by about 0.001%.",
)
@click.option(
    "--threshold", type=float, help="Scores above are anomalous.  [default: what the fit found]"
)
@click.option("--links", default=16, show_default=True, help="HNSW's M.")
@click.option("--ef-construction", default=200, show_default=True)
@click.option("--reference-images", default=3, show_default=True, help="Replayed by verify.")
@click.option("--seed", default=0, show_default=True)
@OVERWRITE
def export(fit_dirs: tuple[Path, ...], out: Path, overwrite: bool, **settings: object) -> None:
    """Compile a fit folder into a proven artifact.

    Several fit folders, made from the same good images with the same seed, become an ensemble: the
    mean of their scores, each divided by what good images typically score.

    \b
    Example: edge-ad export line3.fit --out line3.edgead
    """
    from edge_ad.fitting.fitted import FittedDetector
    from edge_ad_export.exporting import export as export_fitted
    from edge_ad_export.precision.loss import describe
    from edge_ad_export.settings import ExportConfig

    config = ExportConfig(**settings)  # type: ignore[arg-type]  # click has checked the types
    fitted = [FittedDetector.load(folder) for folder in fit_dirs]
    report = export_fitted(fitted, out, config, overwrite=overwrite, progress=True)
    searches = "".join(f"search {s.kind}: {s.reason}\n" for s in report.searches)
    networks = "".join(f"network {text}\n" for text in report.networks)
    if report.precision_loss is not None:
        networks += f"loss {describe(report.precision_loss)}\n"
    click.echo(
        f"{out}: {report.size_bytes / 1e6:.1f} MB; features within "
        f"{report.feature_difference:.1e} of torch's\n{networks}{searches}"
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
