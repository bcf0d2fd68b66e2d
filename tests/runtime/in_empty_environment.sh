#!/usr/bin/env bash
# Collect the runtime's wheels with the cpu extra, install them offline into an empty environment, and
# run tests/runtime there.
# Usage: in_empty_environment.sh PYTHON   (PYTHON has the `build` package; it only builds the wheel)
set -euo pipefail
python=$(realpath --no-symlinks "$1")
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$python" -m build --quiet --wheel --outdir "$work" "$root/runtime"
"$python" -m pip wheel --quiet --constraint "$root/constraints.txt" --wheel-dir "$work/wheels" \
    "$(echo "$work"/edge_ad_runtime-*.whl)[cpu]"
"$python" -m venv "$work/env"
"$work/env/bin/pip" install --quiet --no-index --find-links "$work/wheels" 'edge-ad-runtime[cpu]'
megabytes=$(du -sm "$work/env" | cut -f1)
echo "environment with the cpu extra: $megabytes MB (limit 400)"
test "$megabytes" -lt 400

"$python" -m venv --without-pip "$work/tests"
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
