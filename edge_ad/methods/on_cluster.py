"""Methods that learn on a cluster, and what they have in common.

Such a method has a module ``on_cluster`` with a function ``learn_on``, see `LearnOn`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import click
from torch import nn

from edge_ad.compute import Cluster
from edge_ad.features.tasks import TaskImage
from edge_ad.methods import METHODS, Gathered
from edge_ad_runtime.errors import ConfigError, FitError
from edge_ad_runtime.escaping import shown

ON_CLUSTER = ("patchcore", "padim")

_NAMED = 5  # unreadable images that an error names


@dataclass(frozen=True, kw_only=True, eq=False)
class LearnedOnCluster:
    """What a cluster has learned.

    Attributes:
        network: what `Method.train` would give.
        gathered: what `Method.gather` would give.
        images: the images that it was learned from, excluded ones too.
        notes: what was measured, for people.
    """

    network: nn.Module
    gathered: Gathered
    images: tuple[TaskImage, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class WorkSettings:
    """How work is cut and kept.

    Attributes:
        folder: a folder that all machines reach. What is in it already is not computed again.
        task_images: how many images a task has.
        skip_unreadable: leave images out that cannot be read. Otherwise they are an error.
        progress: show bars on stderr.
    """

    folder: Path
    task_images: int
    skip_unreadable: bool
    progress: bool


class LearnOn(Protocol):
    """`Method.train` and `Method.gather` with other means."""

    def __call__(
        self, cluster: Cluster, names: Sequence[str], settings: Any, work: WorkSettings
    ) -> LearnedOnCluster:
        """Learn from images by their names, which are paths that all machines reach, or URLs.

        Raises:
            ConfigError: the settings cannot work on a cluster.
            FitError: images cannot be read, or the folder cannot be written.
            ClusterError: machines die again and again.
        """


def load_learn_on(method: str) -> LearnOn:
    """The function of a method that learns on a cluster.

    Raises:
        ConfigError: the method has none.
    """
    if method not in ON_CLUSTER:
        raise ConfigError(
            f"method is {method!r}; on a cluster it must be {' or '.join(ON_CLUSTER)}"
        )
    found: LearnOn = import_module(f"{METHODS[method]}.on_cluster").learn_on
    return found


def refuse_unreadable(lines: Sequence[str], *, are_skipped: bool) -> None:
    """Name the images that cannot be read.

    Raises:
        FitError: there are some, and they are not left out.
    """
    if are_skipped:
        for line in lines:
            click.echo(shown(f"left out: {line}"), err=True)
    elif lines:
        more = f" and {len(lines) - _NAMED} more" if len(lines) > _NAMED else ""
        raise FitError(
            f"{len(lines)} images cannot be read: {'; '.join(lines[:_NAMED])}{more}; "
            "mend them and start again, or give --skip-unreadable"
        )
