# From a fresh clone: `make demo` to see it work, `make test` to test everything.
# The environment is made on the way, in .venv, and again whenever pyproject.toml changes.

SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
# Python of the environment, and how many tests run side by side: much of their time is waiting.
PYTHON ?= $(shell tests/find-pythons | head -n 1 | cut -d ' ' -f 2)
JOBS ?= 3
# What `make quick` runs (all by default), and what is also run on the other Pythons.
TESTS ?=
OTHER_TESTS ?= tests/models tests/engine tests/store tests/client tests/test_layers.py
PYTEST := tests/try $(BIN)/python -m pytest
# uv brings its own list of certificates; what the machine trusts is what counts here.
export UV_SYSTEM_CERTS ?= 1
UV_INSTALL := $(BIN)/uv pip install --quiet --python $(BIN)/python
LABEXTENSION := labextension
LABEXTENSION_SOURCES := $(wildcard $(addprefix $(LABEXTENSION)/,src/* style/* schema/* *.json))

.PHONY: help demo demo-slurm lab test test-faults quick other-pythons slurm slurm-down lint format \
    bench bench-slurm clean system-packages labextension hub-proxy vscode-renderer
.DEFAULT_GOAL := help

help:
	@echo 'make demo    run the quick-start notebook on made-up but real images; results in demo-output/'
	@echo 'make demo-slurm   the same on a SLURM cluster, brought up on this machine'
	@echo 'make lab     open JupyterLab on the notebooks'
	@echo 'make test    everything: linters, types, all tests, and a part of them on other Pythons'
	@echo 'make test-faults   what takes longest, on a real SLURM cluster and a real JupyterHub above all'
	@echo 'make quick   the tests that take no more than a few seconds each'
	@echo 'make slurm   bring up a SLURM cluster on this machine to play with; make slurm-down ends it'
	@echo 'make labextension  build the JupyterLab extension, and link it into the environment; needs npm'
	@echo 'make lint    ruff and mypy'
	@echo 'make format  let ruff format and mend what it can'
	@echo 'make bench   benchmarks, side by side with what they are compared to'
	@echo 'make bench-slurm   the same on a SLURM cluster, against submitit and sbatch by hand'
	@echo 'make clean   remove environments, caches and results'

# A store of their own, so that trying things leaves no trace in that of the user.
demo demo-slurm lab: export FRACTAL_DEMO_FOLDER := $(CURDIR)/demo-output
demo demo-slurm lab: export FRACTAL_JUPYTER_STORE := sqlite:///$(CURDIR)/demo-output/store/fractal.db

demo: $(VENV)/.demo
	@$(BIN)/python notebooks/run.py notebooks/01-quickstart.ipynb demo-output/01-quickstart.ipynb

demo-slurm: system-packages $(VENV)/.demo
	@tests/slurm/cluster up >/dev/null
	@$(BIN)/python notebooks/run.py notebooks/02-slurm.ipynb demo-output/02-slurm.ipynb
	@echo '  The cluster is still up: make slurm-down stops it.'

# Opens the notebook as `make demo` has left it, with its outputs, if it has.
lab: $(VENV)/.demo labextension
	@$(BIN)/jupyter lab $$([ "$$(id -u)" != 0 ] || echo --allow-root) --notebook-dir=. \
	    --LabApp.default_url="/lab/tree/$$(ls demo-output/01-quickstart.ipynb \
	        notebooks/01-quickstart.ipynb 2>/dev/null | head -n 1)"

test: system-packages lint labextension
	$(PYTEST) -n $(JOBS) -m 'not slurm_faults and not long and not browser'
	$(PYTEST) -n 2 --dist=loadfile -m 'browser and not long'
	@$(MAKE) --no-print-directory other-pythons OTHER=3.13

# What `make test` leaves out. One cluster, one hub, one worker: one after the other.
test-faults: system-packages $(VENV)/.dev labextension hub-proxy vscode-renderer
	$(PYTEST) -m '(slurm_faults or long) and not browser'
	$(PYTEST) -m 'browser and long'
	@$(MAKE) --no-print-directory other-pythons OTHER=3.12

quick: $(VENV)/.dev
	$(PYTEST) -n $(JOBS) -m 'not slow and not long and not slurm_faults' $(TESTS)

# One environment and one quick run for each supported Python beside the main one; or for OTHER.
other-pythons: $(VENV)/.dev
	@main=$$($(BIN)/python -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
	tests/find-pythons | while read -r version python; do \
	    [ "$$version" = "$$main" ] && continue; \
	    [ -n "$(OTHER)" ] && [ "$$version" != "$(OTHER)" ] && continue; \
	    echo "The quick tests on Python $$version"; \
	    $(MAKE) --no-print-directory quick PYTHON="$$python" VENV=.venv-$$version \
	        TESTS="$(OTHER_TESTS)" \
	        </dev/null || exit 1; \
	done

# SLURM=--accounting, or any other option of tests/slurm/cluster.
slurm: system-packages
	@tests/slurm/cluster up $(SLURM)
	@echo
	@echo 'This is a real cluster: sinfo, sbatch, squeue, scancel. It has the partitions above.'
	@echo 'In a notebook on this machine, a profile of a resource of type slurm_sudo with your own'
	@echo 'user name submits to it.'
	@echo 'tests/slurm/cluster also hurts it: pause, resume, kill-node, crash-node, …'
	@echo 'Tests that need a cluster use this one, and cancel all of its jobs.'
	@echo 'make slurm-down stops it.'

slurm-down:
	@tests/slurm/cluster down

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks.run

bench-slurm: system-packages $(VENV)/.dev
	$(BIN)/python -m benchmarks.run slurm

# Where there is no npm, all else works, and JupyterLab just has no panel of Fractal.
labextension: $(if $(wildcard $(VENV)/.dev),$(VENV)/.dev,$(VENV)/.demo)
	@if ! command -v npm >/dev/null; then \
	    echo 'npm is not installed: the JupyterLab extension is left out' >&2; \
	elif ! $(MAKE) --no-print-directory $(LABEXTENSION)/node_modules/.installed; then \
	    echo 'npm could not install what the JupyterLab extension is built with: it is left out' >&2; \
	else \
	    $(MAKE) --no-print-directory $(LABEXTENSION)/dist/package.json && \
	    mkdir -p $(VENV)/share/jupyter/labextensions && \
	    ln -sfn $(CURDIR)/$(LABEXTENSION)/dist $(VENV)/share/jupyter/labextensions/fractal-jupyter; \
	fi

$(LABEXTENSION)/node_modules/.installed: $(LABEXTENSION)/package-lock.json
	@echo 'Installing what the JupyterLab extension is built with'
	@cd $(LABEXTENSION) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

$(LABEXTENSION)/dist/package.json: $(LABEXTENSION_SOURCES) $(LABEXTENSION)/node_modules/.installed
	@echo 'Building the JupyterLab extension'
	@cd $(LABEXTENSION) && PATH="$(CURDIR)/$(BIN):$$PATH" npm run --silent build >build.log 2>&1 || \
	    { cat build.log; exit 1; }
	@touch $@

# The proxy of the JupyterHub that tests start; without it they skip, and say so.
hub-proxy:
	@command -v npm >/dev/null && $(MAKE) --no-print-directory tests/hub/node_modules/.installed || \
	    echo 'The proxy of JupyterHub cannot be installed: tests with a hub are left out' >&2

# What VS Code shows widgets with; without it these tests skip, and say so.
vscode-renderer:
	@command -v npm >/dev/null && $(MAKE) --no-print-directory tests/vscode/node_modules/.installed || \
	    echo 'The renderer of VS Code cannot be installed: tests with it are left out' >&2

tests/hub/node_modules/.installed tests/vscode/node_modules/.installed: %/node_modules/.installed: %/package-lock.json
	@cd $* && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

clean:
	rm -rf labextension/node_modules labextension/lib labextension/dist labextension/build.log
	rm -rf tests/hub/node_modules tests/vscode/node_modules
	rm -rf .venv .venv-* .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
	rm -rf demo-output test-output benchmarks/results
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

system-packages:
	@tests/install-system-packages

$(BIN)/uv:
	@test -n "$(PYTHON)" || \
	    { echo 'No Python 3.11, 3.12 or 3.13 found; name one: make PYTHON=/path/of/python'; exit 1; }
	@echo "Making $(VENV) with $(PYTHON)"
	@"$(PYTHON)" -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

# Each stamp says: what pyproject.toml asks for is installed.
$(VENV)/.demo: pyproject.toml | $(BIN)/uv
	@echo 'Installing the package and what the demonstration needs'
	@$(UV_INSTALL) --editable '.[demo]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/uv
	@echo 'Installing the package and what development needs'
	@$(UV_INSTALL) --editable '.[demo]' --group dev
	@touch $@
