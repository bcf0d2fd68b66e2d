"""Options: those that several commands share, and those that are made from a `Settings` class.

A field ``coreset_fraction`` becomes the option ``--coreset-fraction``, and a flag that may be None
becomes ``--whiten/--no-whiten``. Type, range, default and help come from the field, and nowhere
else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from edge_ad_runtime.artifact.bounds import Above, AtLeast, Below, Between, Bound, OneOf, UpTo
from edge_ad_runtime.artifact.words import ENGINES
from edge_ad_runtime.errors import ConfigError
from edge_ad_runtime.settings import Setting, Settings, Spelling, make, settings_of, worded


class GroupedOption(click.Option):
    """An option with a place in ``--help``.

    Args:
        arguments: click's own arguments.
        group: the title of the section that it is listed in.
        unset: what its default stands for, where that is None.
        settings: click's own keyword arguments.
    """

    def __init__(self, *arguments: Any, group: str, unset: str = "", **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.group = group
        self.unset = unset

    def get_help_extra(self, ctx: click.Context) -> Any:
        """As click does, but a default of None is told in words."""
        extra = super().get_help_extra(ctx)
        if self.unset:
            extra["default"] = self.unset
        return extra


ENGINE_CHOICE = click.Choice(["auto", *ENGINES])

ARTIFACT = click.argument("artifact", type=click.Path(path_type=Path))
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
OVERWRITE = click.option(
    "--overwrite", cls=GroupedOption, group="Output", is_flag=True, help="Replace what is there."
)
ENGINE = click.option(
    "--engine",
    type=ENGINE_CHOICE,
    default="auto",
    show_default=True,
    help="auto: the one that the artifact was exported for.",
)
THREADS = click.option(
    "--threads", type=click.IntRange(min=1), help="CPU threads.  [default: all cores]"
)

THRESHOLD = click.option(
    "--threshold",
    type=float,
    metavar="SCORE",
    help="Try another threshold than the artifact's, which stays as it is.",
)


def write_text(path: Path, text: str) -> None:
    """Write a report, making its folder.

    Raises:
        ConfigError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as exc:
        raise ConfigError(f"{path}: cannot be written: {exc.strerror}") from exc


class SettingsCommand(click.Command):
    """A command whose callback gets ``config``, an instance of ``settings``.

    Args:
        arguments: click's own arguments.
        settings: the class of the settings. Each of its fields becomes an option.
        group: the title in the help for settings that name none themselves.
        groups: the titles in the order of the help. Others come after them.
        more: click's own keyword arguments.
    """

    def __init__(
        self,
        *arguments: Any,
        settings: type[Settings],
        group: str,
        groups: Sequence[str] = (),
        **more: Any,
    ) -> None:
        super().__init__(*arguments, **more)
        self.settings = settings
        self.groups = tuple(groups)
        self.params = [*self.params, *options_of(settings, group=group)]

    def invoke(self, ctx: click.Context) -> Any:
        """Make the settings from what was typed, and run the command.

        Raises:
            ConfigError: these settings cannot work.
        """
        values = {known.name: ctx.params.pop(known.name) for known in settings_of(self.settings)}
        ctx.params["config"] = make(self.settings, values)
        return super().invoke(ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the options by their groups."""
        sections: dict[str, list[tuple[str, str]]] = {title: [] for title in self.groups}
        for param in self.get_params(ctx):
            row = param.get_help_record(ctx) if isinstance(param, click.Option) else None
            if row is not None:
                sections.setdefault(getattr(param, "group", "Options"), []).append(row)
        for title, rows in sections.items():
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


def options_of(cls: type[Settings], *, group: str) -> list[click.Parameter]:
    """The options of a settings class, in the order of its fields.

    Args:
        cls: the class.
        group: the title in the help for settings that name none themselves.
    """
    return [_option(known, known.group or group) for known in settings_of(cls)]


def _option(known: Setting, group: str) -> GroupedOption:
    dashed = known.name.replace("_", "-")
    flag, spelling, default = known.kind is bool, known.spelling, known.default
    name = f"--{dashed}/--no-{dashed}" if flag and known.nullable else f"--{dashed}"
    return GroupedOption(
        [known.name, name, *known.names],
        group=group,
        unset=known.unset,
        type=None if flag else _type(known),
        is_flag=flag,
        metavar=None if spelling is None else spelling.metavar,
        callback=None if spelling is None else _reader(spelling),
        default=default if spelling is None or default is None else spelling.show(default),
        show_default=True,
        help=_help(known),
    )


def _reader(spelling: Spelling) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """The function that click calls with the text that was typed, or with None."""

    def read(ctx: click.Context, param: click.Parameter, text: str | None) -> Any:
        try:
            return None if text is None else spelling.parse(text)
        except ValueError as exc:
            raise click.BadParameter(str(exc)) from exc

    return read


def _type(known: Setting) -> Any:
    if known.kind is Path:
        return click.Path(path_type=Path)
    if known.spelling is not None or known.kind is str:
        choices = [b.known for b in known.bounds if isinstance(b, OneOf) and _is_choice(b)]
        return click.Choice(choices[0]) if choices else click.STRING
    kind = click.IntRange if known.kind is int else click.FloatRange
    limits = _limits(known.bounds)
    return kind(**limits) if limits else {int: click.INT, float: click.FLOAT}[known.kind]


def _limits(bounds: Iterable[Bound]) -> dict[str, Any]:
    """The bounds under the names that click's ranges give them."""
    limits: dict[str, Any] = {}
    for bound in bounds:
        if isinstance(bound, Between):
            limits |= {"min": bound.least, "max": bound.most}
        elif isinstance(bound, AtLeast):
            limits |= {"min": bound.least}
        elif isinstance(bound, UpTo):
            limits |= {"max": bound.most}
        elif isinstance(bound, Above):
            limits |= {"min": bound.floor, "min_open": True}
        elif isinstance(bound, Below):
            limits |= {"max": bound.ceiling, "max_open": True}
    return limits


def _help(known: Setting) -> str:
    """The help of a setting, with the bounds that click's types do not show."""
    rest = [bound for bound in known.bounds if not (_is_choice(bound) or _limits([bound]))]
    more = f" It must be {' and '.join(map(worded, rest))}." if rest else ""
    return known.help + more


def _is_choice(bound: Bound) -> bool:
    return isinstance(bound, OneOf) and not bound.prefix
