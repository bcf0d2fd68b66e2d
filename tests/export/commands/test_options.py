"""The options of ``fit`` and ``export`` are what the fields of their settings say."""

import subprocess
import sys

import click
import pytest

from edge_ad.commands.fit import fit
from edge_ad.methods.patchcore.settings import PatchCoreConfig
from edge_ad_export.commands.export import export
from edge_ad_export.settings import ExportConfig
from edge_ad_runtime.artifact.bounds import Above, AtLeast, Below, Between, OneOf, UpTo
from edge_ad_runtime.settings import settings_of

ARGUMENTS = {"fit": ("good", "--out", "x.fit"), "export": ("x.fit", "--out", "x.edgead")}
CASES = [
    pytest.param(command, known, id=f"{command.name} {known.name}")
    for command, cls in ((fit, PatchCoreConfig), (export, ExportConfig))
    for known in settings_of(cls)
]


def option(command, name):
    context = command.make_context(command.name, [*ARGUMENTS[command.name]])
    (found,) = (param for param in context.command.params if param.name == name)
    return found, context.params[name]


@pytest.mark.parametrize(("command", "known"), CASES)
def test_an_option_has_its_fields_name_default_and_help(command, known):
    found, value = option(command, known.name)
    assert found.opts[0] == "--" + known.name.replace("_", "-")
    assert (value, type(value)) == (known.default, type(known.default))
    assert found.help.startswith(known.help)
    assert known.help.endswith(".")
    assert known.default is not None or known.unset or known.name == "labelled"


@pytest.mark.parametrize(("command", "known"), CASES)
def test_an_option_has_its_fields_bounds_or_says_them(command, known):
    found, _ = option(command, known.name)
    for bound in known.bounds:
        kind = found.type
        if isinstance(bound, Between):
            assert (kind.min, kind.max) == (bound.least, bound.most)
            assert not (kind.min_open or kind.max_open)
        elif isinstance(bound, AtLeast):
            assert (kind.min, kind.min_open) == (bound.least, False)
        elif isinstance(bound, Above):
            assert (kind.min, kind.min_open) == (bound.floor, True)
        elif isinstance(bound, UpTo):
            assert (kind.max, kind.max_open) == (bound.most, False)
        elif isinstance(bound, Below):
            assert (kind.max, kind.max_open) == (bound.ceiling, True)
        elif isinstance(kind, click.Choice):
            assert isinstance(bound, OneOf)
            assert tuple(kind.choices) == bound.known
        else:
            assert str(bound).removeprefix("that is ") in found.help


@pytest.mark.parametrize(("command", "cls"), [(fit, PatchCoreConfig), (export, ExportConfig)])
def test_whatever_can_be_set_in_python_can_be_set_by_an_option(command, cls):
    own = {known.name for known in settings_of(cls)}
    context = command.make_context(command.name, [*ARGUMENTS[command.name]])
    others = {param.name for param in context.command.params} - own
    assert others <= {
        "good_dir", "fit_dirs", "out", "overwrite", "pattern", "contact_sheet", "method",
        "config_file", "quiet", "cluster", "work", "skip_unreadable",
    }  # fmt: skip
    assert own <= {param.name for param in context.command.params}


@pytest.mark.parametrize("size", ["64x80", "64X80"])
def test_resize_is_another_name_of_resize_px(size):
    texts = [*ARGUMENTS["fit"], "--size", size]
    for name in ("--resize", "--resize-px"):
        params = fit.make_context("fit", [*texts, name, "96"]).params
        assert (params["size"], params["resize_px"]) == ((64, 80), 96)


@pytest.mark.parametrize("command", ["fit", "export", "evaluate", "demo"])
def test_help_does_not_wait_for_torch(command):
    code = (
        "import sys; from click.testing import CliRunner;"
        "from edge_ad_runtime.commands.main import main;"
        f"print(CliRunner().invoke(main, ['{command}', '--help']).exit_code,"
        "{'torch', 'scipy', 'onnx'} & set(sys.modules))"
    )
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert child.stdout == "0 set()\n"
