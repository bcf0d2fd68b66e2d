"""``edge-ad suggest``: which settings for these parts?"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_ad.images.settings import show_size
from edge_ad.networks.settings import show_layers
from edge_ad.suggesting.settings import SuggestSettings
from edge_ad_runtime.commands.options import AS_JSON, SettingsCommand
from edge_ad_runtime.escaping import json_text

if TYPE_CHECKING:
    from edge_ad.methods.patchcore.settings import PatchCoreConfig
    from edge_ad.suggesting.ranking import Ranked
    from edge_ad.suggesting.suggest import Suggestion

_SHOWN = 8


@click.command(cls=SettingsCommand, settings=SuggestSettings, group="Options")
@click.argument("good_dir", type=click.Path(path_type=Path))
@click.option(
    "--labelled",
    type=click.Path(path_type=Path),
    help="Images with labels, as evaluate takes them. They rank the settings.",
)
@AS_JSON
def suggest(good_dir: Path, labelled: Path | None, as_json: bool, config: SuggestSettings) -> None:
    """Try a few sizes, layers and networks, and print the fit command of the best.

    Takes minutes. Banks are small, and each network runs once on each image. Without labels,
    settings are ranked by how well they tell held-out good images from faintly damaged copies of
    them. With labels they are ranked by those, and what the choice is worth is measured apart.

    \\b
    Example: edge-ad suggest good_parts
    Example: edge-ad suggest good_parts --labelled test_parts --budget-ms 100
    """
    from edge_ad.images.good import list_images
    from edge_ad.images.labelled import list_test_images
    from edge_ad.suggesting.suggest import suggest as try_settings

    good = list_images(good_dir)
    test = list_test_images(labelled) if labelled is not None else []
    suggestion = try_settings(good, test, config, progress=True)
    if as_json:
        click.echo(json_text(_record(suggestion, good_dir), indent=2))
        return
    for line in _lines(suggestion, good_dir, config):
        click.echo(line)


def _lines(suggestion: Suggestion, good_dir: Path, settings: SuggestSettings) -> list[str]:
    labelled = suggestion.ranked[0].labelled_auroc is not None
    head = f"{'network':<20} {'size':>9} {'layers':>7}  {'damaged':>7}"
    head += f" {'labelled':>8}" if labelled else ""
    lines = [f"{head} {'ms':>6} {'MB':>6}"]
    lines += [_row(each, labelled=labelled) for each in suggestion.ranked[:_SHOWN]]
    if (rest := len(suggestion.ranked) - _SHOWN) > 0:
        lines.append(f"and {rest} more (--json has all)")
    lines += [
        "",
        "damaged: AUROC of held-out good images and damaged copies of them"
        + ("; labelled: of yours, which ranked them" if labelled else ""),
        "ms: an image on this machine, the network in PyTorch and an exact search; export makes "
        "both faster",
    ]
    if suggestion.held_apart_auroc is not None:
        lines.append(
            f"choosing so is worth AUROC {suggestion.held_apart_auroc:.3f}, measured on the half "
            "of your labelled images that did not choose"
        )
    if not suggestion.ranked[0].within_budget:
        lines.append(f"none takes less than {settings.budget_ms:g} ms; this one is the best of all")
    return [*lines, "", f"suggested: {command_of(suggestion.config, good_dir)}"]


def _row(ranked: Ranked, *, labelled: bool) -> str:
    trial, config = ranked.trial, ranked.trial.config
    size, layers = "x".join(map(str, config.size)), show_layers(config.layers)
    row = f"{config.backbone:<20} {size:>9} {layers:>7}  {ranked.damaged_auroc:>7.3f}"
    row += f" {ranked.labelled_auroc:>8.3f}" if labelled else ""
    over = "" if ranked.within_budget else "  over the budget"
    return f"{row} {trial.ms:>6.0f} {trial.megabytes:>6.1f}{over}"


def command_of(config: PatchCoreConfig, good_dir: Path) -> str:
    """The command that fits with these settings."""
    options = ["--backbone", config.backbone]
    if config.weights not in ("default", "imagenet"):
        options += ["--weights", config.weights]
    options += ["--size", show_size(config.size), "--layers", show_layers(config.layers)]
    options += ["--coreset-fraction", f"{config.coreset_fraction:g}"]
    name = good_dir.resolve().name
    return shlex.join(["edge-ad", "fit", str(good_dir), *options, "--out", f"{name}.fit"])


def _record(suggestion: Suggestion, good_dir: Path) -> dict[str, Any]:
    return {
        "command": command_of(suggestion.config, good_dir),
        "held_apart_auroc": suggestion.held_apart_auroc,
        "learned": suggestion.learned,
        "judged": suggestion.judged,
        "settings": [
            {
                "backbone": each.trial.config.backbone,
                "weights": each.trial.config.weights,
                "size": list(each.trial.config.size),
                "layers": list(each.trial.config.layers),
                "coreset_fraction": each.trial.config.coreset_fraction,
                "damaged_auroc": each.damaged_auroc,
                "labelled_auroc": each.labelled_auroc,
                "network_ms": each.trial.network_ms,
                "search_ms": each.trial.search_ms,
                "megabytes": each.trial.megabytes,
                "within_budget": each.within_budget,
            }
            for each in suggestion.ranked
        ],
    }
