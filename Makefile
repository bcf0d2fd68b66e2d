INTERPRETER ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin

.DEFAULT_GOAL := help

.PHONY: help
help: ## say what each target does
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

# Set-up: both distributions, editable, at the versions of constraints.txt.
.venv/.ready: pyproject.toml runtime/pyproject.toml constraints.txt
	$(INTERPRETER) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt -e './runtime[cpu]' -e '.[dev,lite]'
	touch $@

.PHONY: demo
demo: .venv/.ready ## draw parts; fit, export, evaluate, verify, score them; pictures in demo/
	$(BIN)/edge-ad demo --out demo --overwrite

.PHONY: line-demo
line-demo: .venv/.ready ## drawn parts pass a camera; their verdicts in a browser, until Ctrl-C
	$(BIN)/edge-ad line-demo --out demo-line

.PHONY: test
test: .venv/.ready ## run all tests, on all cores (those on real data need EDGE_AD_DATA)
	$(BIN)/pytest --numprocesses auto --dist loadfile

.PHONY: test-runtime
test-runtime: .venv/.ready ## install the runtime wheel alone, without torch, and test that
	bash tests/runtime/in_empty_environment.sh $(BIN)/python

.PHONY: test-oldest
test-oldest: .venv/.ready ## the same with the oldest versions it allows, on Python 3.10 if there is one
	bash tests/runtime/in_empty_environment.sh $(BIN)/python oldest

.PHONY: lint
lint: .venv/.ready ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

.PHONY: types
types: .venv/.ready ## mypy, strict; the runtime for Python 3.10 too
	$(BIN)/mypy
	$(BIN)/mypy --python-version 3.10 runtime/edge_ad_runtime runtime/edge_ad_line

# From nothing but the code, on two cores in half an hour; started again, it goes on where it was.
.PHONY: backbone
backbone: .venv/.ready ## train the default backbone anew, into backbone/procedural.safetensors
	$(BIN)/python -m edge_ad.recipes.train --out backbone

# All but benchmarks.before.measure, which needs a checkout to compare with. Each refuses to begin where code is not
# committed, as its record could not say what was measured.
.PHONY: bench
bench: .venv/.ready ## measure on real data (needs EDGE_AD_DATA); records in benchmarks/results/
	$(BIN)/pip install --quiet --constraint constraints.txt -e '.[bench]'
	$(BIN)/python -m benchmarks.coreset.measure
	$(BIN)/python -m benchmarks.scale.measure
	$(BIN)/python -m benchmarks.cluster.measure
	$(BIN)/python -m benchmarks.search.measure
	$(BIN)/python -m benchmarks.search.tried
	$(BIN)/python -m benchmarks.magnetic_tile.measure
	$(BIN)/python -m benchmarks.mvtec_mini.measure
	$(BIN)/python -m benchmarks.accuracy.measure
	$(BIN)/python -m benchmarks.settings.measure
	$(BIN)/python -m benchmarks.methods.measure --on real moved time generated
	$(BIN)/python -m benchmarks.methods.beside
	$(BIN)/python -m benchmarks.methods.uflow
	$(BIN)/python -m benchmarks.a_contrario.measure
	$(BIN)/python -m benchmarks.backbones.measure --on generated damaged real time
	$(BIN)/python -m benchmarks.edge.measure
	$(BIN)/python -m benchmarks.engines.measure
	$(BIN)/python -m benchmarks.int8.measure
	$(BIN)/python -m benchmarks.peers.measure
	$(BIN)/python -m benchmarks.paper.measure "$$EDGE_AD_DATA/data" \
		--weights resnet18="$$EDGE_AD_DATA/weights/resnet18_imagenet_layers1-3.safetensors"
	$(BIN)/python -m benchmarks.waits.measure
	$(BIN)/python -m benchmarks.together.measure
	$(BIN)/python -m benchmarks.robustness.measure
	$(BIN)/python -m benchmarks.line.measure
	$(BIN)/python -m benchmarks.line_drift.measure
	$(BIN)/python -m benchmarks.line_http.measure
	if command -v nvidia-smi >/dev/null; then folder=$$(mktemp -d) && \
		$(BIN)/python -m benchmarks.gpu.measure "$$folder" --prepare && \
		$(BIN)/python -m benchmarks.gpu.measure "$$folder"; fi
	$(BIN)/python -m benchmarks.tables
	$(BIN)/python -m benchmarks.paper.table

# Everything that a device without a network installs; its engine is an extra of runtime/pyproject.toml
# (none: EXTRA=). hnswlib is built for any processor of this kind, not for this very one. With PLATFORM or
# PYTHON, for a device unlike this machine; hnswlib's source is collected then, and how to build it is said.
EXTRA ?= cpu
PLATFORM ?=
PYTHON ?=
.PHONY: wheels
wheels: .venv/.ready ## collect all that a device needs in dist/ (EXTRA=cpu PLATFORM=aarch64 PYTHON=3.10)
	rm -rf dist
	$(BIN)/python -m build --quiet --wheel --outdir dist runtime
	$(BIN)/python -m build --quiet --wheel --outdir dist .
ifeq ($(PLATFORM)$(PYTHON),)
	HNSWLIB_NO_NATIVE=1 $(BIN)/pip wheel --quiet --no-deps --no-binary hnswlib --no-cache-dir \
		--constraint constraints.txt --wheel-dir dist hnswlib
	$(BIN)/pip wheel --quiet --constraint constraints.txt --find-links dist --wheel-dir dist \
		"$$(echo dist/edge_ad_runtime-*.whl)$(if $(EXTRA),[$(EXTRA)])"
else
	$(BIN)/python runtime/collect_wheels.py --dest dist $(if $(EXTRA),--extra $(EXTRA)) \
		$(if $(PLATFORM),--platform $(PLATFORM)) $(if $(PYTHON),--python $(PYTHON))
endif

.PHONY: clean
clean: ## remove what the targets above made
	rm -rf .venv demo demo-line dist backbone
