"""What is collected for a device unlike this machine; the bounds of what the runtime requires."""

import io
import tarfile
import tomllib
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement

from collect_wheels import applying, build_requirements, lacking, target_environment

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "runtime/pyproject.toml").read_text(encoding="utf-8"))["project"]
PINS = [
    line
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]
REQUIRED = [
    Requirement(text)
    for texts in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
    for text in texts
]


def write_wheel(folder, name, *requires):
    lines = [f"Name: {name}", *(f"Requires-Dist: {text}" for text in requires)]
    with ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}/_vendor/other-2.0.dist-info/METADATA", "Requires-Dist: no")
        wheel.writestr(f"{name}-1.0.dist-info/METADATA", "\n".join(lines) + "\n")


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12", "3.13"])
def test_every_pin_of_the_runtime_is_one_version_within_its_bounds(python):
    pins = applying(PINS, target_environment(python, "aarch64"))
    names = [pin.name for pin in pins]
    assert len(names) == len(set(names))
    versions = {pin.name: str(pin.specifier).removeprefix("==") for pin in pins}
    for needed in REQUIRED:
        if needed.name in versions:
            assert versions[needed.name] in needed.specifier, needed
    assert {needed.name for needed in map(Requirement, PROJECT["dependencies"])} <= set(versions)


def test_the_guide_names_the_versions_that_a_jetson_gets():
    guide = (ROOT / "runtime/DEPLOYING.md").read_text(encoding="utf-8")
    pins = applying(PINS, target_environment("3.10", "aarch64"))
    cpu = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["cpu"]
    names = {Requirement(text).name for text in cpu}
    for pin in pins:
        if pin.name in names:
            assert str(pin).replace("-", "_").replace("==", "-") in guide, pin


@pytest.mark.parametrize("needed", REQUIRED, ids=lambda needed: needed.name)
def test_every_requirement_of_the_runtime_is_bounded_on_both_sides(needed):
    assert sorted(part.operator for part in needed.specifier) == ["<", ">="]


def test_conditions_are_the_targets_not_this_pythons():
    texts = ['numpy==2.2.6; python_version < "3.11"', 'numpy==2.4.6; python_version >= "3.11"']
    (old,) = applying(texts, target_environment("3.10", "aarch64"))
    (new,) = applying(texts, target_environment("3.12", "aarch64"))
    assert (str(old), str(new)) == ("numpy==2.2.6", "numpy==2.4.6")
    assert not applying(['x; platform_machine == "x86_64"'], target_environment("3.10", "aarch64"))


def test_what_only_the_other_python_needs_is_found_lacking(tmp_path):
    write_wheel(
        tmp_path,
        "first",
        'exceptiongroup>=1; python_version < "3.11"',
        "Second_Part",
        'colorama; sys_platform == "win32"',
        'sphinx; extra == "docs"',
    )
    write_wheel(tmp_path, "second_part")
    assert [str(needed) for needed in lacking(tmp_path, target_environment("3.10", "aarch64"))] == [
        "exceptiongroup>=1"
    ]
    assert not lacking(tmp_path, target_environment("3.11", "aarch64"))


def test_what_a_source_is_built_with_is_read_from_it(tmp_path):
    content = b'[build-system]\nrequires = ["setuptools>=42", "pybind11>=2.0"]\n'
    with tarfile.open(tmp_path / "part-1.0.tar.gz", "w:gz") as archive:
        entry = tarfile.TarInfo("part-1.0/pyproject.toml")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    found = build_requirements(tmp_path / "part-1.0.tar.gz")
    assert found == ["setuptools>=42", "pybind11>=2.0"]


@pytest.mark.parametrize(
    ("python", "machine"), [("/usr/bin/python3", "aarch64"), ("3", "aarch64"), ("3.10", "a b")]
)
def test_what_is_no_python_version_or_machine_is_refused(python, machine):
    with pytest.raises(SystemExit, match=r"(PYTHON|PLATFORM) is '.*'; it must be"):
        target_environment(python, machine)
