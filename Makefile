# Every target makes what it needs by itself; the environment is made once and reused while pyproject.toml stays as it is.
# It is .venv, and one of its own for each other Python: make test PYTHON=/usr/bin/python3 uses .venv-3.13.
PYTHON ?= python3
VENV := .venv$(if $(filter-out python3,$(PYTHON)),-$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])'))
BIN := $(VENV)/bin
SOURCES := $(shell find src -type f -not -path '*/__pycache__/*' 2>/dev/null)
# CI installs exactly what the constraints name; elsewhere the ranges of pyproject.toml decide.
CONSTRAIN := $(if $(CI),-c constraints.txt,)
# The environment in which the wheel is built takes them from here: older pips from the first, newer ones from the second.
ifdef CI
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_BUILD_CONSTRAINT := $(CURDIR)/constraints.txt
endif
# What was compiled is kept, whatever the shell asks for; else every worker compiles all tests anew, for ten seconds.
unexport PYTHONDONTWRITEBYTECODE
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: demo test test-kernel test-browser oldest flake proof mutants spark lint lab bench chaos notebooks pictures dist licences clean help

help:  ## Say what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("voxops needs Python 3.11 or newer; set PYTHON=") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

# The wheel is what is installed and tested, never the source folder.
$(VENV)/installed: $(BIN)/python pyproject.toml $(SOURCES)
	$(PIP) install $(CONSTRAIN) --force-reinstall --no-deps .
	$(PIP) install $(CONSTRAIN) .
	@touch $@

$(VENV)/tools: $(VENV)/installed
	$(PIP) install $(CONSTRAIN) '.[test,lint,bench]'
	@touch $@

demo: $(VENV)/installed  ## The main job in a terminal, against the embedded sandbox
	@$(BIN)/voxops demo

# Files go to the workers whole, long ones first: tests/conftest.py knows which. Browsers, kernels and chaos wait for most of their
# time, which a third worker on two processors fills.
TESTS = $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(addprefix tests/,$(T))

test: $(VENV)/tools  ## All tests; T=ledger runs one room
	$(TESTS)

oldest:  ## The rooms of T with the oldest dependencies that are allowed, in an environment of its own
	$(MAKE) test VENV=.venv-oldest CONSTRAIN='-c constraints-oldest.txt' T="$(or $(T),frames acts ledger archive)" \
	    PIP_CONSTRAINT=$(CURDIR)/constraints-oldest.txt PIP_BUILD_CONSTRAINT=

flake: $(VENV)/tools  ## The rooms of T often, beside a load on both processors; N=20 times, LOAD=
	$(BIN)/python -m tests.flake --times $(or $(N),20) $(if $(LOAD),--load $(LOAD)) -- $(TESTS)

test-kernel: $(VENV)/tools  ## Tests in a real Jupyter kernel
	$(BIN)/python -m pytest -m kernel -n 2 --dist loadfile

test-browser: $(VENV)/tools  ## Tests in JupyterLab in headless Chromium
	$(BIN)/python -m pytest -m browser -n 2 --dist loadfile

lint: $(VENV)/tools  ## ruff, mypy strict
	$(BIN)/ruff check src tests
	$(BIN)/ruff format --check src tests
	$(BIN)/mypy

lab: $(VENV)/tools  ## JupyterLab on the notebooks
	$(BIN)/jupyter lab notebooks

pictures: $(VENV)/tools  ## Take the pictures of the README anew, in JupyterLab
	$(BIN)/python -m tests.browser.pictures

bench: $(VENV)/tools  ## Measure; writes build/bench.json
	$(BIN)/python -m tests.bench

chaos: $(VENV)/tools  ## Kill senders, break answers, and count at the server; ITEMS= KILLS= SEED= LEDGERS= READING=
	$(BIN)/python -m tests.chaos

proof: $(VENV)/tools  ## What the tests prove on a small scale, at length; DEPTH= events, PARTS= of it
	$(BIN)/python -m tests.proof

mutants: $(VENV)/tools  ## Break each decision that allows sending; a test must turn red. FILES= MINUTES= MOST= AGAIN=1
	$(BIN)/python -m tests.mutants

spark:  ## The Spark of docs/cluster.md on Spark itself, in an environment of its own; needs Java
	$(MAKE) .venv-spark/tools VENV=.venv-spark
	.venv-spark/bin/python -m pip --disable-pip-version-check --quiet install 'pyspark>=4,<5'
	.venv-spark/bin/python -m tests.spark

notebooks: $(VENV)/tools  ## Execute and check the notebooks; renders them to build/notebooks
	$(BIN)/python -m tests.notebooks

dist: $(VENV)/tools  ## Wheel and source archive, checked, each installed into an empty environment and tried there
	$(PIP) install $(CONSTRAIN) '.[dist]'
	rm -rf dist
	$(BIN)/python -m build --outdir dist .
	$(BIN)/python -m twine check --strict dist/*
	$(BIN)/python -m tests.dist dist/*

licences: $(VENV)/tools  ## The licences of all that is installed with voxops; X="archive lab" with these extras
	$(BIN)/python -m tests.licences $(X)

clean:
	rm -rf .venv .venv-* build dist
