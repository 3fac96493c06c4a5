PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PIP := $(BIN)/python -m pip install --no-compile --quiet --disable-pip-version-check --constraint constraints.txt
PARALLEL := --numprocesses auto --maxprocesses 4 --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help env demo test lint check docs catalogue bench equivalence fuzz clean

help:  ## List the targets.
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

env: $(STAMP)  ## Make the environment in .venv.

# torch comes first and by exact version, so that nothing later picks another build of it.
$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11) and "the pinned environment needs Python 3.11 or newer: make env PYTHON=python3.12")'
	$(PIP) torch==2.13.0
	$(PIP) --no-deps torchvision==0.28.0
	$(PIP) --editable '.[dev]'
	touch $@

demo: env  ## Train a small source, inject it into another network, and race that against Kaiming (about a minute).
	$(BIN)/python examples/quickstart.py

test: env lint  ## Lint, check types and run the tests.
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q $(PARALLEL)

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: env  ## Write docs/cli.md from the commands' own help.
	$(BIN)/python docs/generate_cli.py

catalogue: env  ## Rebuild the embedded catalogue from the installed timm and torchvision.
	$(BIN)/python -m catalogue_builder.build

bench: env  ## Run the benchmarks (hours).
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/scale/measure.py --work out/scale
	$(BIN)/python -m benchmarks.growth
	$(BIN)/python -m benchmarks.convergence
	$(BIN)/python -m benchmarks.matrix.benefit
	$(BIN)/python -m benchmarks.matrix.speed --whole

equivalence: env  ## Run the whole of the suites that `make test` runs a part of (long).
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q $(PARALLEL) -m whole tests

fuzz: env  ## Fuzz the readers of checkpoints and plans, guided by coverage (minutes).
	$(PIP) 'atheris>=2.3'
	$(BIN)/python fuzz/fuzz.py

clean:  ## Remove the environment and the caches.
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache build dist
