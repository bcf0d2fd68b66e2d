"""The plan of the house: what each room may import, and why; there is no circle.

A room is a folder of a package, or a file beside the folders. Every import counts, those inside
functions too. Only imports for type checking do not: they name a room and do not need it.
"""

import ast
import dataclasses
import tomllib
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

ROOT = Path(__file__).parents[1]

# What every room may import: the words that all share.
FOUNDATION = {"errors", "escaping", "progress", "regular_file"}

RUNTIME = {
    "errors": set(),
    "escaping": set(),
    "progress": set(),  # of long work, wherever it is done
    "regular_file": set(),  # plain files, for whoever reads one
    "stopwatch": set(),
    "images": set(),  # pixels know nothing of what is done with them
    "artifact": {"images"},  # preprocessing is part of the manifest, references are images
    "settings": {"artifact"},  # bounds are the same for JSON and for the command line
    "options": {"artifact"},
    "engines": {"artifact"},  # the vocabulary; an engine knows no banks
    "search": {"artifact"},
    "heads": {"artifact", "decision", "search", "stopwatch"},  # a head knows no engine
    "decision": {"artifact", "images"},  # the record of a threshold; regions of the image as it was
    "device": {"artifact", "options"},
    "prediction": {"decision", "heads"},
    "loaded_member": {"artifact", "engines", "heads", "options"},
    "lines_file": set(),
    "detector": {
        "artifact", "decision", "device", "engines", "heads", "images", "loaded_member", "options",
        "prediction", "stopwatch",
    },
    "provenance": {"__init__", "detector", "device"},
    "pictures": {"images", "prediction"},
    "proof": {
        "__init__", "artifact", "decision", "detector", "engines", "heads", "images",
        "loaded_member", "options", "prediction", "provenance",
    },
    "profile": {
        "artifact", "decision", "detector", "device", "heads", "options", "prediction",
        "provenance", "settings",
    },
    "commands": {
        "__init__", "artifact", "decision", "detector", "device", "images", "lines_file",
        "pictures", "prediction", "profile", "proof", "settings",
    },
    "__init__": set(),  # names homes, and imports them when they are asked for
    "__main__": {"commands"},
}  # fmt: skip

LINE = {
    "config": set(),
    "result": set(),
    "events": set(),
    "backoff": set(),
    "notify": set(),
    "camera_health": {"result"},
    "store": {"config", "result"},
    "cameras": {"backoff", "config", "result"},
    "sinks": {"backoff", "config", "result", "store"},
    "metrics": {"result"},
    "intake": {"cameras", "result"},
    "image_writer": {"cameras", "config", "result", "store"},
    "artifacts": set(),
    "drift": set(),
    "live": {"camera_health", "config", "result"},
    "drift_watch": {"drift", "live", "store"},
    "swap": {"artifacts", "config", "live", "store"},
    "inspection": {"camera_health", "cameras", "intake", "live", "result"},
    "station": {
        "cameras", "config", "drift_watch", "events", "image_writer", "inspection", "intake",
        "live", "metrics", "result", "store",
    },
    "stations": {"cameras", "config", "live", "station"},
    "status": {"station"},
    "alarms": {"events", "result", "store"},
    "line": {
        "alarms", "cameras", "config", "events", "image_writer", "inspection", "metrics", "result",
        "sinks", "station", "stations", "status", "store", "swap",
    },
    "web": {"config", "events", "line", "result"},  # all of it through the line
    "web_server": {"config", "web"},
    "checking": {
        "artifacts", "camera_health", "cameras", "config", "live", "sinks", "web", "web_server",
    },
    "commands": {"checking", "config", "line", "notify", "web_server"},
    "__init__": set(),
}  # fmt: skip

WORKSHOP = {
    "images": set(),
    "compute": set(),  # where work runs, whatever it is
    "networks": {"images"},  # settings inherit those of images
    "synthetic": set(),
    "features": {"compute", "images", "networks"},
    "methods": {"compute", "features", "images", "networks"},  # never fitting, never one another
    "fitting": {"__init__", "compute", "features", "images", "methods", "networks"},
    "evaluation": {"images"},  # an artifact is evaluated, whatever has made it
    "suggesting": {"features", "images", "methods", "networks", "synthetic"},
    "recipes": {"features", "networks", "synthetic"},
    "commands": {
        "compute",
        "evaluation",
        "fitting",
        "images",
        "methods",
        "networks",
        "suggesting",
    },
    "__init__": set(),
}

EXPORT = {
    "settings": set(),
    "report": set(),
    "graph": set(),
    "precision": {"graph", "settings"},
    "search": {"graph", "settings"},
    "proof": {"compiled_network", "settings"},
    "compiled_network": {"graph", "precision", "search", "settings"},
    "member": {"compiled_network", "graph", "proof", "search", "settings"},
    "manifest": {"graph", "proof", "settings"},
    "exporting": {
        "compiled_network", "manifest", "member", "precision", "proof", "report", "search",
        "settings",
    },
    "demo": {"__init__"},
    "line_demo": {"__init__"},
    "many": {"exporting", "settings"},
    "commands": {"demo", "exporting", "line_demo", "many", "precision", "settings"},
    "__init__": set(),
}  # fmt: skip

PACKAGES = {
    "edge_ad_runtime": (ROOT / "runtime/edge_ad_runtime", RUNTIME),
    "edge_ad_line": (ROOT / "runtime/edge_ad_line", LINE),
    "edge_ad": (ROOT / "edge_ad", WORKSHOP),
    "edge_ad_export": (ROOT / "export/edge_ad_export", EXPORT),
}
FORBIDDEN = {
    "edge_ad_runtime": {
        "edge_ad",
        "edge_ad_line",
        "edge_ad_export",
        "torch",
        "onnx",
        "scipy",
        "safetensors",
    },
    "edge_ad_line": {"edge_ad", "edge_ad_export", "torch", "onnx", "scipy", "safetensors"},
    "edge_ad": {"edge_ad_export", "edge_ad_line", "onnx", "onnxruntime"},
    "edge_ad_export": set(),
}


class Imports(ast.NodeVisitor):
    """The modules that a file imports, but for those under ``if TYPE_CHECKING``."""

    def __init__(self, path: Path):
        self.found: set[str] = set()
        self.visit(ast.parse(path.read_text(encoding="utf-8")))

    def visit_If(self, node):  # noqa: N802
        if not (isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"):
            self.generic_visit(node)

    def visit_Import(self, node):  # noqa: N802
        self.found |= {alias.name for alias in node.names}

    def visit_ImportFrom(self, node):  # noqa: N802
        assert node.level == 0, "relative import"
        self.found |= {f"{node.module}.{alias.name}" for alias in node.names}


def files(package):
    folder, _ = PACKAGES[package]
    return sorted(folder.rglob("*.py"))


def room_of(package, path):
    folder, _ = PACKAGES[package]
    first = path.relative_to(folder).parts[0]
    return first.removesuffix(".py")


def arrows(package):
    """Which rooms of the package each room imports."""
    folder, _ = PACKAGES[package]
    found: dict[str, set[str]] = {}
    for path in files(package):
        room = room_of(package, path)
        for name in Imports(path).found:
            top, _, rest = name.partition(".")
            if top != package:
                continue
            other = rest.split(".")[0]
            known = other and ((folder / other).is_dir() or (folder / f"{other}.py").exists())
            found.setdefault(room, set()).add(other if known else "__init__")
    return {room: others - {room} for room, others in found.items()}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_room_imports_only_what_the_plan_says(package):
    _, plan = PACKAGES[package]
    assert {room_of(package, path) for path in files(package)} == set(plan)
    free = FOUNDATION if package == "edge_ad_runtime" else set()
    for room, others in arrows(package).items():
        assert others - free <= plan[room], room


@pytest.mark.parametrize("package", PACKAGES)
def test_the_plan_has_no_arrow_that_nobody_needs(package):
    _, plan = PACKAGES[package]
    found = arrows(package)
    for room, others in plan.items():
        assert others <= found.get(room, set()), room


@pytest.mark.parametrize("package", PACKAGES)
def test_there_is_no_circle(package):
    left = {room: others - {"__init__"} for room, others in arrows(package).items()}
    left.pop("__init__", None)  # it only names what the others hold
    while left:
        free = [room for room, others in left.items() if not others & set(left)]
        assert free, f"these import one another: {left}"
        for room in free:
            del left[room]


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_go_one_way(package):
    for path in files(package):
        imported = {name.split(".")[0] for name in Imports(path).found}
        assert not imported & FORBIDDEN[package], path


def test_methods_do_not_know_one_another():
    folder = ROOT / "edge_ad/methods"
    for path in sorted(folder.glob("*/*.py")):
        own = f"edge_ad.methods.{path.parent.name}"
        shared = ("edge_ad.methods.settings", "edge_ad.methods.judge", "edge_ad.methods.on_cluster")
        for name in Imports(path).found:
            if name.startswith("edge_ad.methods.") and not name.startswith((own, *shared)):
                assert not (folder / name.split(".")[2]).is_dir(), f"{path}: {name}"


def test_nothing_imports_torchvision_or_pickles_and_timm_only_when_asked_for():
    for path in (path for package in PACKAGES for path in files(package)):
        optional = {"timm"} if path.name == "timm_backbone.py" else set()
        imported = {name.split(".")[0] for name in Imports(path).found}
        assert imported & {"torchvision", "timm"} == optional, path
        text = path.read_text(encoding="utf-8")
        assert "pickle.load" not in text, path
        assert "allow_pickle=True" not in text, path
        assert "weights_only=False" not in text, path


def test_timm_is_imported_by_one_function_not_by_the_module():
    tree = ast.parse((ROOT / "edge_ad/networks/timm_backbone.py").read_text(encoding="utf-8"))
    at_the_top = {alias.name for n in tree.body if isinstance(n, ast.Import) for alias in n.names}
    assert "timm" not in at_the_top


def test_both_distributions_have_one_version():
    import edge_ad
    import edge_ad_runtime

    assert edge_ad.__version__ == edge_ad_runtime.__version__
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"edge-ad-runtime[cpu]=={edge_ad.__version__}" in project["dependencies"]


def records(kind):
    """All dataclasses within a type: in tuples, dicts, bounds and unions too."""
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        yield kind
        for inner in get_type_hints(kind, include_extras=True).values():
            yield from records(inner)
    else:
        for inner in get_args(kind):
            yield from records(inner)


def test_the_artifacts_specification_names_every_key():
    from edge_ad_runtime.artifact.schema import Manifest

    text = (ROOT / "runtime/README.md").read_text(encoding="utf-8")
    found = list(dict.fromkeys(records(Manifest)))
    assert len(found) >= 16  # tagged unions are walked
    for record in found:
        for field in dataclasses.fields(record):
            named = (f"`{field.name}`", f".{field.name}`", f"`{field.name}.")
            assert any(name in text for name in named), f"{record.__name__}.{field.name}"
            kinds = get_type_hints(record, include_extras=True)[field.name]
            words = [word for word in get_args(kinds) if isinstance(word, str)]
            for word in words:
                assert f"`{word}`" in text, f"{record.__name__}.{field.name}: {word}"


def test_every_file_says_what_it_is_in_its_first_line():
    for path in (path for package in PACKAGES for path in files(package)):
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), path


def test_tests_mirror_the_rooms():
    """A folder of tests is a room, so that a room's tests are where one looks for them."""
    places = {
        "runtime": "edge_ad_runtime",
        "line": "edge_ad_line",
        "edge_ad": "edge_ad",
        "export": "edge_ad_export",
    }
    for place, package in places.items():
        folder, _ = PACKAGES[package]
        for path in sorted((ROOT / "tests" / place).rglob("test_*.py")):
            room = folder / path.parent.relative_to(ROOT / "tests" / place)
            assert room.is_dir(), path
