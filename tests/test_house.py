"""Imports go one way: edge_ad_runtime <- edge_ad <- edge_ad_export, and the runtime stays lean."""

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {
    "runtime/edge_ad_runtime": {
        "edge_ad",
        "edge_ad_export",
        "torch",
        "onnx",
        "scipy",
        "safetensors",
    },
    "edge_ad": {"edge_ad_export", "onnx", "onnxruntime"},
    "export/edge_ad_export": set(),
}


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add((node.module or "").split(".")[0])
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_go_one_way(package):
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    for path in files:
        assert not imports(path) & PACKAGES[package], path


def test_nothing_imports_torchvision_or_pickles_and_timm_only_when_asked_for():
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            optional = {"timm"} if path.name == "timm_backbone.py" else set()
            assert imports(path) & {"torchvision", "timm"} == optional, path
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


def test_the_artifacts_specification_names_every_key():
    from dataclasses import fields, is_dataclass
    from typing import get_type_hints

    from edge_ad_runtime.artifact.schema import Manifest

    text = (ROOT / "runtime/README.md").read_text(encoding="utf-8")
    for field in fields(Manifest):
        assert f"`{field.name}" in text, field.name
        kind = get_type_hints(Manifest)[field.name]
        for inner in fields(kind) if is_dataclass(kind) else ():
            assert f"{inner.name}`" in text, f"{field.name}.{inner.name}"


def test_every_file_says_what_it_is_in_its_first_line():
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), path
