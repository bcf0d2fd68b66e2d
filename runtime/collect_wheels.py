"""Collect what a device unlike this machine needs to install the runtime without a network.

``make wheels PLATFORM=aarch64 PYTHON=3.10``. Wheels are published of all requirements but hnswlib:
its source is collected, with what its build needs, and is built on the device or on one like it.

pip can look for another Python's wheels, but takes the conditions in requirements, such as
``; python_version < "3.11"``, for this Python's. So they are decided here: those of constraints.txt
beforehand, those in the wheels once these have been collected.
"""

from __future__ import annotations

import argparse
import platform
import re
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Iterable
from email.parser import Parser
from pathlib import Path
from zipfile import ZipFile

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HERE = Path(__file__).parent
SOURCE_ONLY = "hnswlib"
GLIBC_MINOR = 35  # Ubuntu 22.04, JetPack 6; a wheel for an older one runs there as well

Environment = dict[str, str]


def target_environment(python: str, machine: str) -> Environment:
    """What conditions in requirements are about, on Linux with CPython ``3.10``, say."""
    if not re.fullmatch(r"3\.\d+", python):
        sys.exit(f"PYTHON is {python!r}; it must be the device's version, such as 3.10")
    if not re.fullmatch(r"[a-z0-9_]+", machine):
        sys.exit(f"PLATFORM is {machine!r}; it must be what uname -m says there, such as aarch64")
    return {
        "extra": "",  # of another distribution's optional requirements we ask for none
        "implementation_name": "cpython",
        "os_name": "posix",
        "platform_machine": machine,
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": f"{python}.0",
        "python_version": python,
        "sys_platform": "linux",
    }


def applying(texts: Iterable[str], environment: Environment) -> list[Requirement]:
    """The requirements whose condition holds there, without it."""
    chosen = []
    for text in texts:
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate(environment):
            requirement.marker = None
            chosen.append(requirement)
    return chosen


def lacking(folder: Path, environment: Environment) -> list[Requirement]:
    """What the wheels in a folder require there, and neither a wheel nor a source provides."""
    names, required = set(), []
    for path in sorted(folder.iterdir()):
        names.add(canonicalize_name(path.name.split("-")[0]))
        if path.suffix == ".whl" and not path.name.startswith("edge_ad"):
            with ZipFile(path) as wheel:
                pattern = r"[^/]+\.dist-info/METADATA"
                (entry,) = (name for name in wheel.namelist() if re.fullmatch(pattern, name))
                metadata = Parser().parsestr(wheel.read(entry).decode("utf-8"))
            required += applying(metadata.get_all("Requires-Dist", []), environment)
    return [needed for needed in required if canonicalize_name(needed.name) not in names]


def build_requirements(source: Path) -> list[str]:
    """What a source distribution needs to be built."""
    with tarfile.open(source) as archive:
        (member,) = (m for m in archive if re.fullmatch(r"[^/]+/pyproject\.toml", m.name))
        file = archive.extractfile(member)
        assert file is not None  # it is a plain file
        requires: list[str] = tomllib.loads(file.read().decode("utf-8"))["build-system"]["requires"]
    return requires


def collect(environment: Environment, extra: str, dest: Path) -> None:
    """Download the wheels and hnswlib's source into a folder."""
    project = tomllib.loads((HERE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    if extra and extra not in extras:
        sys.exit(f"EXTRA is {extra!r}; there are: {', '.join(extras)}")
    runtime = applying(project["dependencies"] + extras.get(extra, []), environment)
    pins = (HERE.parent / "constraints.txt").read_text(encoding="utf-8").splitlines()
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder, "constraints.txt")
        lines = (line for line in pins if line and not line.startswith("#"))
        constraints.write_text("\n".join(map(str, applying(lines, environment))) + "\n")
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(dest)]
        pip += ["--constraint", str(constraints)]
        (native,) = (str(needed) for needed in runtime if needed.name == SOURCE_ONLY)
        subprocess.run([*pip, "--no-deps", "--no-binary", SOURCE_ONLY, native], check=True)
        (source,) = dest.glob(f"{SOURCE_ONLY}-*.tar.gz")

        wanted = [str(needed) for needed in runtime if needed.name != SOURCE_ONLY]
        wanted += build_requirements(source)
        pip += _wheels_for(environment)
        while wanted:
            subprocess.run([*pip, *wanted], check=True)
            wanted = [str(needed) for needed in lacking(dest, environment)]


def _wheels_for(environment: Environment) -> list[str]:
    machine = environment["platform_machine"]
    tags = [f"manylinux_2_{minor}_{machine}" for minor in range(GLIBC_MINOR, 16, -1)]
    platforms = [*tags, f"manylinux2014_{machine}"]
    return [
        *("--only-binary=:all:", "--implementation", "cp"),
        *("--python-version", environment["python_version"]),
        *(f"--platform={name}" for name in platforms),
    ]


def main() -> None:
    """The command line; the Makefile's."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    parser.add_argument("--platform", default=platform.machine(), help="as uname -m says: aarch64")
    parser.add_argument("--python", default=here, help="version of its Python: 3.10")
    parser.add_argument("--extra", default="", help="of runtime/pyproject.toml: cpu")
    parser.add_argument("--dest", type=Path, default=Path("dist"), help="folder to fill: dist")
    given = parser.parse_args()
    given.dest.mkdir(exist_ok=True)
    collect(target_environment(given.python, given.platform), given.extra, given.dest)
    print(
        f"{given.dest} is for {given.platform} with Python {given.python}. "
        "Build hnswlib there, once (it takes g++ and\nPython's headers, but no network):\n"
        f"    HNSWLIB_NO_NATIVE=1 pip wheel --no-index --find-links {given.dest} --no-deps "
        f"--wheel-dir {given.dest} hnswlib"
    )


if __name__ == "__main__":
    main()
