"""The README's commands and Python, in order, as a reader would run them; the guides' options."""

import re
import shlex
import shutil
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from edge_ad.synthetic.parts import write_parts
from edge_ad_runtime.commands.main import main

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
DEPLOYING = ROOT / "runtime/DEPLOYING.md"
UNIT = ROOT / "runtime/edge-ad-watch.service"
# downloads are not tested here: the same commands, on a network that is there; and small
SUBSTITUTES = {
    "--weights imagenet": "--weights untrained --size 64x80",
    "--out line3.fit": "--out line3.fit --size 64x80",
}


def blocks(language: str, guide: Path = README) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", guide.read_text(encoding="utf-8"), re.DOTALL)


def test_the_readmes_commands_work_in_order(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_parts(Path("drawn"), good=40, test_good=2, per_defect=1)
    shutil.copytree("drawn/train/good", "good_parts")
    shutil.copytree("drawn/test", "test_parts/test")
    shutil.copytree("drawn/ground_truth", "test_parts/ground_truth")
    Path("camera").mkdir()
    shutil.copy("drawn/test/good/000.png", "camera/part.png")

    commands = [line for block in blocks("bash") for line in block.splitlines()]
    assert {shlex.split(line)[1] for line in commands} >= {"fit", "export", "verify", "score"}
    for line in commands:
        program, *arguments = shlex.split(line)
        assert program == "edge-ad"
        text = " ".join(arguments)
        for original, substitute in SUBSTITUTES.items():
            text = text.replace(original, substitute)
        result = CliRunner().invoke(main, shlex.split(text))
        assert result.exit_code == 0, f"{line}\n{result.output}"
    for made in ("line3-report/index.html", "latency.svg", "overlays"):
        assert Path(made).exists()

    (python,) = blocks("python")
    exec(compile(python, str(README), "exec"), {})
    assert capsys.readouterr().out.split()[0] in ("good", "anomalous")


@pytest.mark.parametrize("guide", [README, DEPLOYING], ids=lambda guide: guide.name)
def test_every_option_a_guide_names_exists(guide):
    help_texts = "".join(
        CliRunner().invoke(main, [command, "--help"]).output for command in main.list_commands(None)
    )
    for option in set(re.findall(r"`(--[a-z-]+)", guide.read_text(encoding="utf-8"))):
        assert option in help_texts, option


def test_a_device_understands_every_command_of_the_deployment():
    unit = re.findall(r"^ExecStart(?:Pre)?=(.*)$", UNIT.read_text(encoding="utf-8"), re.MULTILINE)
    lines = "".join(blocks("bash", DEPLOYING)).splitlines() + unit
    commands = [shlex.split(line)[1:] for line in lines if "/bin/edge-ad " in line]
    assert {name for name, *_ in commands} == {"compile", "verify", "tune", "profile", "watch"}
    for name, *arguments in commands:
        command = main.get_command(None, name)
        command.make_context(name, arguments)  # raises if it does not


def test_every_extra_of_the_deployment_exists():
    project = tomllib.loads((ROOT / "runtime/pyproject.toml").read_text(encoding="utf-8"))
    extras = set(project["project"]["optional-dependencies"])
    rows = re.findall(r"^\| .*? \| `([a-z-]+)` \|", DEPLOYING.read_text(encoding="utf-8"), re.M)
    assert {"cpu", "openvino", "gpu", "tensorrt"} <= set(rows) <= extras
