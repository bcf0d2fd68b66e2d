"""``fit`` has the options of the method that is asked for."""

import sys
from dataclasses import dataclass
from types import ModuleType
from typing import Annotated, ClassVar

import pytest
from click.testing import CliRunner

from edge_ad.commands.fit import fit
from edge_ad.methods import METHODS
from edge_ad.methods.patchcore.settings import PatchCoreConfig
from edge_ad_runtime.artifact.bounds import Between
from edge_ad_runtime.commands.main import main
from edge_ad_runtime.settings import Settings, setting


@dataclass(frozen=True, kw_only=True)
class ToySettings(Settings):
    method: ClassVar[str] = "toy"

    wheels: Annotated[int, Between(1, 9)] = setting(4, help="How many wheels it has.")


@pytest.fixture
def toy(monkeypatch):
    """A method that has one setting, and none of those that others share."""
    module = ModuleType("toy_method.settings")
    vars(module)["Settings"] = ToySettings
    monkeypatch.setitem(sys.modules, "toy_method", ModuleType("toy_method"))
    monkeypatch.setitem(sys.modules, "toy_method.settings", module)
    monkeypatch.setitem(METHODS, "toy", "toy_method")


@pytest.fixture
def fitted_with(monkeypatch):
    """The settings that `edge_ad.fitting.fitting.fit` is called with."""
    found = []

    def stop(images, config, *, progress):
        assert progress
        found.append(config)
        raise KeyboardInterrupt

    monkeypatch.setattr("edge_ad.fitting.fitting.fit", stop)
    return found


def run(*arguments):
    return CliRunner().invoke(main, ["fit", *map(str, arguments)])


def titles(text):
    return [line.rstrip(":") for line in text.splitlines() if line.endswith(":") and line[0] != " "]


def test_help_has_the_groups_in_the_order_of_the_steps():
    assert titles(run("--help").output) == [
        *("Images", "Network", "Features", "Method patchcore"),
        *("Threshold", "Cluster", "Output", "Options"),
    ]


@pytest.mark.parametrize("choice", [("--method", "toy"), ("--method=toy",)])
def test_a_method_shows_its_own_options_and_no_others(toy, choice):
    text = run(*choice, "--help").output
    assert titles(text) == ["Images", "Method toy", "Cluster", "Output", "Options"]
    assert "--wheels" in text
    assert "--method [patchcore|" in text
    assert "|toy]" in text
    for option in ("--coreset-fraction", "--backbone", "--size", "--holdout-fraction"):
        assert option not in text
    assert "--wheels" not in run("--help").output


def test_the_last_method_counts_as_it_does_for_click(toy):
    text = run("--method", "toy", "--method", "patchcore", "--help").output
    assert "--coreset-fraction" in text
    assert "--wheels" not in text


def test_the_settings_are_of_the_methods_class(toy, fitted_with, parts, tmp_path):
    arguments = (parts / "train/good", "--out", tmp_path / "x.fit")
    run(*arguments, "--method", "toy", "--wheels", 3)
    run(*arguments, "--method", "patchcore", "--stride", 2)
    run(*arguments)
    assert fitted_with == [ToySettings(wheels=3), PatchCoreConfig(stride=2), PatchCoreConfig()]


def test_another_methods_option_is_wrong_usage(toy, tmp_path):
    result = run(tmp_path, "--out", tmp_path / "x.fit", "--method", "toy", "--stride", 2)
    assert result.exit_code == 2
    assert "No such option" in result.stderr


def test_a_method_that_does_not_exist_is_wrong_usage(tmp_path):
    for choice in (("--method", "guess"), ("--method=guess",)):
        result = run(tmp_path, "--out", tmp_path / "x.fit", *choice)
        assert result.exit_code == 2
        assert "'guess' is not" in result.stderr
    assert run(tmp_path, "--method").exit_code == 2


def test_every_method_says_its_own_name():
    from edge_ad.methods import settings_class

    for name in METHODS:
        assert settings_class(name).method == name
        assert fit.of(name).settings is settings_class(name)


def test_a_method_that_is_trained_has_groups_of_its_own():
    found = titles(run("--method", "uflow", "--help").output)
    assert found == [
        *(
            "Images",
            "Network",
            "Method uflow",
            "Training",
            "Test",
            "Threshold",
            "Cluster",
            "Output",
        ),
        "Options",
    ]
    found = titles(run("--method", "energy", "--help").output)
    assert found == [
        *("Images", "Network", "Method energy", "Training", "Training by sampling", "Threshold"),
        *("Cluster", "Output", "Options"),
    ]


def test_a_fit_is_repeated_from_the_file_that_it_wrote(parts, tmp_path):
    good = str(parts / "train/good")
    typed = ["--weights", "untrained", "--size", "64x80", "--layers", "1,2", "--whiten"]
    first = run(good, *typed, "--coreset-fraction", "0.05", "--out", tmp_path / "a.fit")
    assert first.exit_code == 0, first.output
    file = tmp_path / "a.fit/fit.toml"
    assert 'size = "64x80"' in file.read_text()
    again = run(good, "--config", file, "--out", tmp_path / "b.fit")
    assert again.exit_code == 0, again.output
    for name in ("fit.json", "kept.safetensors"):
        assert (tmp_path / "a.fit" / name).read_bytes() == (tmp_path / "b.fit" / name).read_bytes()
    other = run(good, "--config", file, "--seed", "7", "--out", tmp_path / "c.fit")
    assert other.exit_code == 0
    assert "seed = 7" in (tmp_path / "c.fit/fit.toml").read_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[fit]\nsize = [1, 2]", "fit.size is [1, 2]; give a text or a number"),
        ("[fit]\nsise = 224", "fit.sise is no option of edge-ad fit"),
        ("[fit]\nmethod = 'patchwork'", "fit.method is 'patchwork'; known are"),
        ("[export]\nengine = 'openvino'", "has no table [fit]; it holds [export]"),
        ("size = ", "not TOML"),
    ],
)
def test_a_config_file_that_cannot_work_is_refused_by_name(parts, tmp_path, text, message):
    (tmp_path / "part.toml").write_text(text)
    good, out = parts / "train/good", tmp_path / "x.fit"
    result = run(good, "--config", tmp_path / "part.toml", "--out", out)
    assert result.exit_code == 1
    assert message in result.stderr
    assert str(tmp_path / "part.toml") in result.stderr


def test_the_method_of_a_config_file_brings_its_options(parts, tmp_path):
    (tmp_path / "p.toml").write_text('[fit]\nmethod = "padim"\nweights = "untrained"\n')
    out = tmp_path / "x.fit"
    result = run(parts / "train/good", "--config", tmp_path / "p.toml", "--size", 64,
                 "--out", out)  # fmt: skip
    assert result.exit_code == 0, result.output
    assert 'method = "padim"' in (out / "fit.toml").read_text()
