"""What a field says once: its bounds, its option, its help."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import click
import pytest
from click.testing import CliRunner

from edge_ad_runtime.artifact import strict
from edge_ad_runtime.artifact.bounds import (
    Above,
    AtLeast,
    Below,
    Between,
    Except,
    Odd,
    OneOf,
    Rising,
    UpTo,
)
from edge_ad_runtime.commands.options import SettingsCommand, options_of
from edge_ad_runtime.errors import ConfigError
from edge_ad_runtime.settings import Settings, Spelling, make, setting, settings_of

PAIR = Spelling(
    "A:B", lambda text: tuple(map(int, text.split(":"))), lambda pair: ":".join(map(str, pair))
)


@dataclass(frozen=True, kw_only=True)
class Sieve(Settings):
    mesh_px: Annotated[int, Between(1, 9), Odd()] = setting(3, help="Width of a mesh.")
    share: Annotated[float, Above(0), UpTo(1)] = setting(0.5, help="Share.", group="Other")
    rest: Annotated[float, AtLeast(0), Below(1)] | None = setting(None, help="Rest.", unset="half")
    metal: Literal["steel", "brass"] = setting("steel", help="Metal.")
    maker: Annotated[str, OneOf(("us",), prefix="of:")] = setting("us", help="Maker.")
    pair: tuple[int, int] = setting((1, 2), help="Pair.", spelling=PAIR, names=("--couple",))
    file: Path | None = setting(None, help="File.")
    shaken: bool = setting(False, help="Shake it.")
    washed: bool | None = setting(None, help="Wash it.", unset="if dirty")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"mesh_px": 4}, "mesh_px is 4; it must be from 1 to 9 and odd"),
        ({"mesh_px": "3"}, "mesh_px is '3'; it must be a whole number from 1 to 9 and odd"),
        ({"mesh_px": None}, "mesh_px is None; it must be a whole number"),
        ({"share": 0}, "share is 0; it must be above 0 and at most 1"),
        ({"share": float("nan")}, "share is nan; it must be a finite number above 0 and at most 1"),
        ({"share": True}, "share is True; it must be a finite number"),
        ({"rest": 1}, "rest is 1; it must be at least 0 and below 1"),
        ({"metal": "zinc"}, "metal is 'zinc'; it must be one of steel, brass"),
        ({"maker": "them"}, "maker is 'them'; it must be one of us or of:NAME"),
        ({"pair": (1, 2, 3)}, "pair is (1, 2, 3); it must be 2 whole numbers"),
        ({"pair": (1, 2.5)}, "pair is (1, 2.5); it must be 2 whole numbers"),
        ({"file": "text"}, "file is 'text'; it must be a path"),
        ({"shaken": 1}, "shaken is 1; it must be true or false"),
    ],
)
def test_a_value_that_cannot_work_is_refused_in_one_spelling(values, message):
    with pytest.raises(ConfigError) as caught:
        Sieve(**values)
    assert str(caught.value).startswith(message)
    with pytest.raises(ConfigError):
        replace(Sieve(), **values)


def test_values_within_bounds_are_kept_as_they_are():
    sieve = Sieve(mesh_px=9, share=1, rest=0.0, maker="of:me", file=Path("x"), washed=False)
    assert (sieve.mesh_px, sieve.share, sieve.rest, sieve.maker) == (9, 1, 0.0, "of:me")


@pytest.mark.parametrize(
    ("bound", "inside", "outside"),
    [
        (Except(1, "no"), [0, 2], [1]),
        (Rising((1, 2, 3)), [(1,), (1, 3)], [(), (2, 1), (1, 1), (4,)]),
        (OneOf(("a", "b")), ["a"], ["c", ""]),
    ],
)
def test_bounds_hold_what_they_say(bound, inside, outside):
    assert all(bound.holds(value) for value in inside)
    assert not any(bound.holds(value) for value in outside)


def test_the_same_class_is_read_from_json():
    @dataclass(frozen=True, kw_only=True)
    class Small(Settings):
        mesh_px: Annotated[int, Between(1, 9)] | None = setting(None, help="Width.")

    assert strict.parse(Small, {"mesh_px": 3}) == Small(mesh_px=3)
    with pytest.raises(ValueError, match="mesh_px: expected int from 1 to 9, found 12"):
        strict.parse(Small, {"mesh_px": 12})


def sieve(*arguments):
    found = []

    @click.command("sieve", cls=SettingsCommand, settings=Sieve, group="Sieve", groups=["Other"])
    def command(config: Sieve) -> None:
        found.append(config)

    result = CliRunner().invoke(command, arguments)
    return found[0] if found else result


def test_the_command_line_makes_the_settings():
    assert sieve() == Sieve()
    assert sieve("--mesh-px", "5", "--couple", "3:4", "--file", "x", "--shaken") == Sieve(
        mesh_px=5, pair=(3, 4), file=Path("x"), shaken=True
    )
    assert sieve("--washed").washed is True
    assert sieve("--no-washed").washed is False
    assert sieve("--pair", "7:8").pair == (7, 8)


@pytest.mark.parametrize(
    "arguments",
    [("--mesh-px", "10"), ("--share", "0"), ("--rest", "1"), ("--metal", "zinc"), ("--pair", "x")],
)
def test_what_the_type_excludes_is_wrong_usage(arguments):
    assert sieve(*arguments).exit_code == 2


def test_what_click_cannot_check_is_refused_by_the_settings():
    assert isinstance(sieve("--mesh-px", "4").exception, ConfigError)


def test_help_has_groups_defaults_and_bounds():
    text = " ".join(sieve("--help").output.split())
    assert text.index("Other: --share") < text.index("Sieve: --mesh-px") < text.index("Options:")
    for part in (
        "Width of a mesh. It must be odd. [default: 3; 1<=x<=9]",
        "Share. [default: 0.5; 0<x<=1]",
        "Rest. [default: half; 0<=x<1]",
        "--metal [steel|brass] Metal. [default: steel]",
        "Maker. It must be one of us or of:NAME. [default: us]",
        "--pair, --couple A:B Pair. [default: 1:2]",
        "--washed / --no-washed Wash it. [default: if dirty]",
    ):
        assert part in text, part


def test_every_setting_is_an_option_and_can_be_made_of_their_values():
    assert [option.name for option in options_of(Sieve, group="")] == [
        known.name for known in settings_of(Sieve)
    ]
    values = {known.name: known.default for known in settings_of(Sieve)}
    assert make(Sieve, {**values, "mesh_px": 5, "unknown": 1}) == Sieve(mesh_px=5)
