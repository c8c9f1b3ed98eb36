# Every target works on a fresh clone: it makes the environment that it needs first.
#   make VENV=DIR PYTHON=python3.12 test     another environment, another interpreter
#   make WORKERS=8 test                      on so many cores at once

VENV ?= .venv
PYTHON ?= python3
WORKERS ?= 2
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: env test test-quick lint format types operations mutation demo examples-quick bench gpu-check clean
.NOTPARALLEL:
.DEFAULT_GOAL := test

# One stamp for each extra, renewed when pyproject.toml changes; an interrupted install leaves none.
$(VENV)/.installed-%: pyproject.toml
	@echo "installing autograd_core with its '$*' extra into $(VENV)"
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("autograd_core needs Python 3.11 or newer: make PYTHON=...")'
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --quiet --editable '.[$*]'
	@touch $@

.PRECIOUS: $(VENV)/.installed-%

env: $(VENV)/.installed-test

# One thread for each worker: there is one for each core. Tests of threads start their own.
test: env lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

test-quick: env
	HYPOTHESIS_PROFILE=quick $(BIN)/python -m pytest -q -x -m "not slow"

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: env
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The proofs that are pages: docs/operations.md needs PyTorch and JAX beside the package, docs/mutation.md PyTorch.
operations: env
	$(BIN)/python -m pytest tests/test_ops.py tests/test_ops_page.py --every-case --write-operations

mutation: env
	cd tests && $(abspath $(BIN))/python -m mutation

# The wheel, not the editable install: a type checker cannot follow the latter.
types: $(VENV)/.installed-types
	rm -rf build
	$(PIP) install --quiet --no-deps --target build/types .
	cd build/types && $(abspath $(BIN))/mypy --config-file ../../pyproject.toml -p autograd_core

demo: $(VENV)/.installed-examples
	$(BIN)/python examples/digits_cnn.py

# Every example for a few steps; whole runs are recorded one by one, with --record.
examples-quick: env
	$(BIN)/python -m pytest --every-case tests/test_examples.py

bench: $(VENV)/.installed-bench
	$(BIN)/python -m autograd_core.benchmarks overhead

# On a machine with an NVIDIA GPU, without a network: what its Python has already (CuPy above all) is used as it is, and
# pytest, pytest-xdist, hypothesis, and setuptools if it is not there, come from WHEELS, a folder.
#   make gpu-check PYTHON=python3 WHEELS=wheels GPU_ARGUMENTS='--parts suite --rows mlp_784_256_128_10_b128'
GPU_PACKAGES := $(abspath .gpu-packages)
GPU_REPORT ?= benchmarks/results/gpu.json
INSTALL_THERE = -m pip install --quiet --no-index --no-deps --upgrade --target $(GPU_PACKAGES)
gpu-check:
	rm -rf build $(GPU_PACKAGES)
	$(if $(WHEELS),$(PYTHON) $(INSTALL_THERE) $(WHEELS)/*.whl)
	PYTHONPATH=$(GPU_PACKAGES) $(PYTHON) $(INSTALL_THERE) --no-build-isolation .
	PYTHONSAFEPATH=1 PYTHONPATH=$(GPU_PACKAGES) $(PYTHON) -m autograd_core.benchmarks gpu --tests . --json $(GPU_REPORT) $(GPU_ARGUMENTS)

clean:
	rm -rf build dist .gpu-packages demo_output .pytest_cache .ruff_cache .mypy_cache .hypothesis *.egg-info
	find . -path './.*' -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
