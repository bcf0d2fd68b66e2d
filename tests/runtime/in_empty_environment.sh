#!/usr/bin/env bash
# Collect the runtime's wheels with the cpu extra, install them offline into an empty environment, and
# run tests/runtime there.
# Usage: in_empty_environment.sh PYTHON [oldest]   (PYTHON, 3.11 or newer, has the `build` package)
#   By default with PYTHON and the versions of constraints.txt. With `oldest`: with the lower bounds of
#   runtime/pyproject.toml, on Python 3.10 where there is one, else on PYTHON.
set -euo pipefail
python=$(realpath --no-symlinks "$1")
mode=${2:-pinned}
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python310() { # a Python 3.10 that can make environments and compile for itself
    local version candidate
    version=$(pyenv versions --bare 2>/dev/null | grep -x '3\.10\.[0-9]*' | sort -V | tail -n 1) || true
    for candidate in python3.10 "$(pyenv prefix "${version:-none}" 2>/dev/null)/bin/python3.10"; do
        if "$candidate" - 2>/dev/null <<'PY'
import ensurepip, pathlib, sys, sysconfig, venv
assert sys.version_info[:2] == (3, 10)
assert pathlib.Path(sysconfig.get_path("include"), "Python.h").exists()
PY
        then
            command -v "$candidate"
            return
        fi
    done
}

case $mode in
pinned)
    device_python=$python
    constraints=$root/constraints.txt
    ;;
oldest)
    device_python=$(python310)
    device_python=${device_python:-$python}
    constraints=$work/oldest.txt
    "$python" - "$root/runtime/pyproject.toml" >"$constraints" <<'PY'
import pathlib, sys, tomllib
from packaging.requirements import Requirement
project = tomllib.loads(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"))["project"]
for text in project["dependencies"] + project["optional-dependencies"]["cpu"]:
    needed = Requirement(text)
    (bound,) = (part.version for part in needed.specifier if part.operator == ">=")
    print(f"{needed.name}=={bound}")
PY
    ;;
*)
    echo "mode is '$mode'; there is only: oldest" >&2
    exit 2
    ;;
esac

"$python" -m build --quiet --wheel --outdir "$work" "$root/runtime"
"$device_python" -m venv "$work/env"
pip=("$work/env/bin/python" -m pip --disable-pip-version-check)
"${pip[@]}" wheel --quiet --constraint "$constraints" --wheel-dir "$work/wheels" \
    "$(echo "$work"/edge_ad_runtime-*.whl)[cpu]"
"${pip[@]}" install --quiet --no-index --find-links "$work/wheels" 'edge-ad-runtime[cpu]'
echo "$mode versions, $("$work/env/bin/python" --version):" \
    "$("${pip[@]}" list --format freeze | grep -E "^($(cut -d= -f1 "$constraints" | paste -sd '|'))==" |
        paste -sd ' ')"
megabytes=$(du -sm "$work/env" | cut -f1)
echo "environment with the cpu extra: $megabytes MB (limit 400, of the pinned versions)"
test "$mode" = oldest || test "$megabytes" -lt 400

"$device_python" -m venv --without-pip "$work/tests"
"$python" -m pip --python "$work/tests/bin/python" install --quiet \
    --constraint "$root/constraints.txt" pytest
site=$(echo "$work"/tests/lib/python*/site-packages)

cp -r "$root/tests/runtime" "$work/suite"
cd "$work"
PYTHONPATH=$site "$work/env/bin/python" - <<'PY'
import importlib.util, subprocess, sys
for name in ("torch", "onnx", "scipy", "edge_ad", "edge_ad_export"):
    assert importlib.util.find_spec(name) is None, f"{name} is in the runtime's environment"
code = "import time; t = time.perf_counter(); import edge_ad_runtime; print(time.perf_counter() - t)"
seconds = [float(subprocess.check_output([sys.executable, "-c", code])) for _ in range(5)]
print(f"import edge_ad_runtime: median {sorted(seconds)[2]:.3f} s of 5 (floor 0.3 s)")
PY
PYTHONPATH=$site "$work/env/bin/python" -m pytest -q --import-mode=importlib -W error \
    -p no:cacheprovider "$work/suite"
