"""The option ``--cluster``, which several commands share."""

from __future__ import annotations

import click

from edge_ad_runtime.commands.options import GroupedOption

CLUSTER_GROUP = "Cluster"

CLUSTER = click.option(
    "--cluster",
    cls=GroupedOption,
    group=CLUSTER_GROUP,
    metavar="ADDRESS",
    help="Where the work runs: inline (in this process), auto (the Ray cluster of this machine, or "
    "else one of its own cores), local (its own cores), or ray://HOST:PORT. All but inline need "
    "edge-ad[ray].",
)
