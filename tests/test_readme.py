"""The commands and the Python of README and docs, in order, as a reader would run them."""

import json
import re
import shlex
import shutil
import threading
import tomllib
from contextlib import chdir
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import cv2
import pytest
from click.testing import CliRunner

from edge_ad.methods import METHODS
from edge_ad.synthetic.parts import write_parts
from edge_ad_runtime import Detector
from edge_ad_runtime.commands.main import main

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
RUNTIME = ROOT / "runtime/README.md"
DEPLOYING = ROOT / "runtime/DEPLOYING.md"
DOCS = sorted((ROOT / "docs").glob("*.md"))
RECIPES = ROOT / "docs/recipes.md"
TUTORIAL = ROOT / "docs/adding-a-method.md"
GUIDES = [README, RUNTIME, DEPLOYING, *DOCS]
UNIT = ROOT / "runtime/edge-ad-watch.service"
TOY = ROOT / "tests/edge_ad/methods/histogram"  # what the tutorial goes through
# downloads are not tested here: the same commands, on a network that is there; and small
SUBSTITUTES = {
    "--weights imagenet": "--weights untrained",
    "fit good_parts": "fit good_parts --size 64x80",
    "suggest good_parts": "suggest good_parts --images 8",
}


def blocks(language: str, guide: Path = README) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", guide.read_text(encoding="utf-8"), re.DOTALL)


def commands_of(guide: Path) -> list[str]:
    return [line for block in blocks("bash", guide) for line in block.splitlines()]


def write_files_of(guide: Path) -> None:
    """Write the files that a guide shows whole: their first line is a comment with their name."""
    for name, content in re.findall(r"```toml\n# (\S+)\n(.*?)```", guide.read_text("utf-8"), re.S):
        Path(name).write_text(content, encoding="utf-8")


def run(line: str) -> None:
    program, *arguments = shlex.split(line)
    assert program == "edge-ad"
    text = shlex.join(arguments)
    for original, substitute in SUBSTITUTES.items():
        text = text.replace(original, substitute)
    result = CliRunner().invoke(main, shlex.split(text))
    assert result.exit_code == 0, f"{line}\n{result.output}"


@pytest.fixture
def toy(monkeypatch):
    """The tutorial's method, known by its one line."""
    monkeypatch.syspath_prepend(TOY.parent)
    monkeypatch.setitem(METHODS, "histogram", "histogram")


@pytest.fixture(scope="module")
def after_the_readme(tmp_path_factory):
    """The folder of a reader who has typed all that README says."""
    folder = tmp_path_factory.mktemp("reader")
    with chdir(folder):
        write_parts(Path("drawn"), good=40, test_good=2, per_defect=1)
        shutil.copytree("drawn/train/good", "good_parts")
        shutil.copytree("drawn/test", "test_parts/test")
        shutil.copytree("drawn/ground_truth", "test_parts/ground_truth")
        Path("camera").mkdir()
        shutil.copy("drawn/test/good/000.png", "camera/part.png")
        shutil.copy("drawn/test/good/000.png", "part.png")
        for line in commands_of(README):
            run(line)
    return folder


def test_the_readmes_commands_make_what_it_says(after_the_readme):
    assert {shlex.split(line)[1] for line in commands_of(README)} >= {
        *("fit", "export", "verify", "score", "evaluate")
    }
    for made in ("line3.edgead", "line3-report/index.html", "latency.svg", "overlays"):
        assert (after_the_readme / made).exists()


@pytest.mark.parametrize("guide", [README, RUNTIME], ids=["README.md", "runtime/README.md"])
def test_the_python_of_a_readme_gives_a_verdict(guide, after_the_readme, monkeypatch, capsys):
    monkeypatch.chdir(after_the_readme)
    (python,) = blocks("python", guide)
    exec(compile(python, str(guide), "exec"), {})
    assert capsys.readouterr().out.split()[0] in ("good", "anomalous")


def test_the_recipes_give_verdicts(after_the_readme, monkeypatch, capsys):
    monkeypatch.chdir(after_the_readme)
    colour = cv2.imread("camera/part.png")
    assert colour is not None
    frames = [colour, colour[..., 0]]

    class Camera:
        def __init__(self, number):
            self.left = list(frames)

        def read(self):
            return (True, self.left.pop()) if self.left else (False, None)

    monkeypatch.setattr(cv2, "VideoCapture", Camera)
    camera, threads, web = blocks("python", RECIPES)
    for recipe in (camera, threads):
        exec(compile(recipe, "recipe", "exec"), {})
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == 2
        assert all(line.split()[0] in ("good", "anomalous") for line in lines)
    _the_web_recipe_answers(web)


def _the_web_recipe_answers(recipe: str) -> None:
    known: dict[str, Any] = {}
    exec(compile(recipe, "recipe", "exec"), known)
    with Detector.load("line3.edgead") as detector:
        server = known["ThreadingHTTPServer"](("127.0.0.1", 0), known["handler_of"](detector))
        with server:
            threading.Thread(target=server.serve_forever).start()
            connection = HTTPConnection(*server.server_address)
            connection.request("POST", "/", Path("camera/part.png").read_bytes())
            assert json.loads(connection.getresponse().read())["verdict"] in ("good", "anomalous")
            connection.request("POST", "/", b"no image")
            refused = connection.getresponse()
            assert (refused.status, json.loads(refused.read())["verdict"]) == (422, "error")
            connection.close()
            server.shutdown()


@pytest.mark.parametrize("guide", DOCS, ids=lambda guide: guide.name)
def test_the_commands_of_the_docs_work_after_the_readmes(guide, after_the_readme, toy, monkeypatch):
    monkeypatch.chdir(after_the_readme)
    write_files_of(guide)
    for line in commands_of(guide):
        run(line)


def test_the_tutorials_python_is_quoted_from_the_toy_method():
    quoted = blocks("python", TUTORIAL)
    files = [path.read_text(encoding="utf-8") for path in sorted(TOY.glob("*.py"))]
    assert len(quoted) >= 10
    for block in quoted:
        assert any(block in text for text in files), block


def test_the_tutorial_shows_every_function_and_class_of_the_toy_method():
    quoted = "".join(blocks("python", TUTORIAL))
    for path in sorted(TOY.glob("*.py")):
        lines = re.findall(r"^ *(?:class|def) \w+", path.read_text(encoding="utf-8"), re.M)
        for line in lines:
            assert line in quoted, f"{path.name}: {line}"


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.relative_to(ROOT).as_posix())
def test_every_option_a_guide_names_exists(guide, toy):
    commands = [[name] for name in main.list_commands(None)]
    asked = commands + [["fit", "--method", method] for method in METHODS]
    help_texts = "".join(CliRunner().invoke(main, [*words, "--help"]).output for words in asked)
    for option in set(re.findall(r"`(--[a-z-]+)", guide.read_text(encoding="utf-8"))):
        assert option in help_texts, option


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.relative_to(ROOT).as_posix())
def test_every_link_of_a_guide_leads_somewhere(guide):
    links = re.findall(r"\]\(([^)\s]+)\)", guide.read_text(encoding="utf-8"))
    for link in links:
        if link.startswith("https://"):
            continue
        path, _, section = link.partition("#")
        target = (guide.parent / path).resolve() if path else guide
        assert target.exists(), link
        if section:
            assert section in sections(target), link


def sections(guide: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", guide.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_a_device_understands_every_command_of_the_deployment():
    unit = re.findall(r"^ExecStart(?:Pre)?=(.*)$", UNIT.read_text(encoding="utf-8"), re.MULTILINE)
    lines = "".join(blocks("bash", DEPLOYING)).splitlines() + unit
    commands = [shlex.split(line)[1:] for line in lines if "/bin/edge-ad " in line]
    assert {name for name, *_ in commands} == {
        *("compile", "verify", "tune", "profile", "watch", "compare", "threshold")
    }
    for name, *arguments in commands:
        command = main.get_command(None, name)
        command.make_context(name, arguments)  # raises if it does not


def test_every_extra_of_the_deployment_exists():
    project = tomllib.loads((ROOT / "runtime/pyproject.toml").read_text(encoding="utf-8"))
    extras = set(project["project"]["optional-dependencies"])
    rows = re.findall(r"^\| .*? \| `([a-z-]+)` \|", DEPLOYING.read_text(encoding="utf-8"), re.M)
    assert {"cpu", "openvino", "gpu", "tensorrt"} <= set(rows) <= extras
