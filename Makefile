# Every target makes what it needs by itself; the environment in .venv is made once and reused while pyproject.toml stays as it is.
PYTHON ?= python3
BIN := .venv/bin
SOURCES := $(shell find src -type f -not -path '*/__pycache__/*' 2>/dev/null)
# CI installs exactly what the constraints name; elsewhere the ranges of pyproject.toml decide.
CONSTRAIN := $(if $(CI),-c constraints.txt,)
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: demo test test-kernel test-browser lint lab bench chaos notebooks clean help

help:  ## Say what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("voxops needs Python 3.11 or newer; set PYTHON=") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv

# The wheel is what is installed and tested, never the source folder.
.venv/installed: $(BIN)/python pyproject.toml $(SOURCES)
	$(PIP) install $(CONSTRAIN) --force-reinstall --no-deps .
	$(PIP) install $(CONSTRAIN) .
	@touch $@

.venv/tools: .venv/installed
	$(PIP) install $(CONSTRAIN) '.[test,lint,bench]'
	@touch $@

demo: .venv/installed  ## The main job in a terminal, against the embedded sandbox
	@$(BIN)/voxops demo

test: .venv/tools  ## All tests; T=ledger runs one room. Those in a browser run where Chromium is found
	$(BIN)/python -m pytest -n 2 --dist loadfile $(if $(T),tests/$(T))

test-kernel: .venv/tools  ## Tests in a real Jupyter kernel
	$(BIN)/python -m pytest -m kernel -n 2

test-browser: .venv/tools  ## Tests in JupyterLab in headless Chromium
	$(BIN)/python -m pytest -m browser -n 2

lint: .venv/tools  ## ruff, mypy strict
	$(BIN)/ruff check src tests
	$(BIN)/ruff format --check src tests
	$(BIN)/mypy

lab: .venv/tools  ## JupyterLab on the notebooks
	$(BIN)/jupyter lab notebooks

bench: .venv/tools  ## Measure; writes build/bench.json
	$(BIN)/python -m tests.bench

chaos: .venv/tools  ## Kill senders, break answers, and count at the server; ITEMS= KILLS= SEED=
	$(BIN)/python -m tests.chaos

notebooks: .venv/tools  ## Execute and check the notebooks; renders them to build/notebooks
	$(BIN)/python -m tests.notebooks

clean:
	rm -rf .venv build dist
