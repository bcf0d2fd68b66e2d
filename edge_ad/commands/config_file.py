"""The option ``--config``: a command's options from a TOML file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from edge_ad_runtime.commands.options import GroupedOption
from edge_ad_runtime.errors import ConfigError


def config_option(table: str) -> Callable[[Any], Any]:
    """The option ``--config`` of the command whose options are in a table of that name.

    What is typed beside it overrides the file.
    """

    def read(ctx: click.Context, param: click.Parameter, path: Path | None) -> None:
        if path is None:
            return
        from edge_ad.fitting.settings_file import read_table

        values = read_table(path, table)
        known = {option.name for option in ctx.command.params} | {"method"}
        if unknown := sorted(values.keys() - known):
            raise ConfigError(
                f"{path}: {table}.{unknown[0]} is no option of edge-ad {table}; see its --help"
            )
        ctx.default_map = {**(ctx.default_map or {}), **values}

    return click.option(
        "--config",
        "config_file",
        cls=GroupedOption,
        group="Output",
        type=click.Path(path_type=Path),
        is_eager=True,
        expose_value=False,
        callback=read,
        help=f"Options from the table [{table}] of a TOML file, as fit writes one: fit.toml. What "
        "is typed overrides it.",
    )


def value_among(arguments: Sequence[str], option: str) -> str | None:
    """The value that the last ``option`` among a command's arguments has."""
    found = None
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        name, equals, value = argument.partition("=")
        if name == option:
            found = value if equals else following
    return found
