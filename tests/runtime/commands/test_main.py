"""What ``edge-ad`` knows of its commands before it imports one."""

import subprocess
import sys
from importlib.metadata import EntryPoint, entry_points

import click
import pytest
from click.testing import CliRunner

from edge_ad_runtime.commands import main as home
from edge_ad_runtime.commands.main import DEVICE, WORKSHOP, main


def help_with(plugins, monkeypatch):
    points = [EntryPoint(name, value, "edge_ad.commands") for name, value in plugins.items()]
    monkeypatch.setattr(home, "_plugins", lambda: points)
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    return result.output


@pytest.mark.parametrize("arguments", ["import edge_ad_runtime", "--help"])
def test_help_and_import_load_no_library(arguments):
    code = (
        "import sys; from click.testing import CliRunner;"
        "from edge_ad_runtime.commands.main import main; CliRunner().invoke(main, ['--help']);"
        if arguments == "--help"
        else f"import sys; {arguments};"
    )
    code += "print({'numpy', 'cv2', 'torch', 'onnxruntime', 'hnswlib'} & set(sys.modules))"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert child.stdout == "set()\n"


@pytest.mark.parametrize("name", DEVICE)
def test_help_says_of_a_command_what_the_command_says_of_itself(name):
    assert main.get_command(None, name).get_short_help_str(limit=1000) == DEVICE[name].help


@pytest.mark.parametrize("point", entry_points(group="edge_ad.commands"), ids=lambda p: p.name)
def test_help_says_of_the_workshops_commands_what_they_say_of_themselves(point):
    assert point.load().get_short_help_str(limit=1000) == WORKSHOP[point.name]


def test_a_device_alone_lists_its_commands_in_the_order_of_use(monkeypatch):
    text = help_with({}, monkeypatch)
    assert "Workshop" not in text
    assert "Others" not in text
    positions = [text.index(f"\n  {name} ") for name in DEVICE]
    assert positions == sorted(positions)
    assert main.list_commands(None) == list(DEVICE)


def test_the_workshop_comes_first_and_what_is_not_installed_is_not_listed(monkeypatch):
    text = help_with({"fit": "nowhere:fit", "export": "nowhere:export"}, monkeypatch)
    names = ["Workshop:", "  fit ", "  export ", "Device:", "  verify "]
    positions = [text.index(f"\n{name}") for name in names]
    assert positions == sorted(positions)
    assert "  demo " not in text


def test_a_command_of_somebody_else_is_listed_without_being_imported(monkeypatch):
    text = help_with({"teach": "nowhere.commands:teach"}, monkeypatch)
    assert "\nOthers:\n  teach  From nowhere.commands.\n" in text


def test_a_plugin_cannot_take_the_place_of_a_device_command(monkeypatch):
    point = EntryPoint("score", "nowhere:score", "edge_ad.commands")
    monkeypatch.setattr(home, "_plugins", lambda: [point])
    assert isinstance(main.get_command(None, "score"), click.Command)
    assert main.list_commands(None) == list(DEVICE)


def test_names_of_the_package_are_found_on_first_use():
    import edge_ad_runtime

    assert edge_ad_runtime.Detector.__module__ == "edge_ad_runtime.detector"
    with pytest.raises(AttributeError, match="no attribute 'Torch'"):
        _ = edge_ad_runtime.Torch


def test_a_command_of_the_workshop_says_where_it_is(monkeypatch):
    monkeypatch.setattr("edge_ad_runtime.commands.main.entry_points", lambda group: [])
    result = CliRunner().invoke(main, ["fit", "good_parts"])
    assert result.exit_code == 2
    assert "fit is a command of the workshop" in result.stderr
    assert "pip install edge-ad" in result.stderr


@pytest.mark.parametrize("name", ["score", "verify", "info", "tune"])
def test_every_command_can_be_quiet(name):
    assert "--quiet" in CliRunner().invoke(main, [name, "--help"]).stdout
