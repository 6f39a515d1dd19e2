# Every target installs its own requirements. The environment is created once and reused until pyproject.toml changes.
# It is .venv, or one per other Python: make test PYTHON=/usr/bin/python3 uses .venv-3.13.
PYTHON ?= python3
VENV := .venv$(if $(filter-out python3,$(PYTHON)),-$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])'))
BIN := $(VENV)/bin
SOURCES := $(shell find src -type f -not -path '*/__pycache__/*' 2>/dev/null)
# CI installs the pinned versions of constraints.txt; elsewhere the ranges in pyproject.toml apply.
CONSTRAIN := $(if $(CI),-c constraints.txt,)
# The build environment of the wheel uses the same constraints: older pips read the first variable, newer ones the second.
ifdef CI
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_BUILD_CONSTRAINT := $(CURDIR)/constraints.txt
endif
# Keep bytecode, whatever the shell sets: else every worker compiles all tests, which takes ten seconds.
unexport PYTHONDONTWRITEBYTECODE
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: demo test test-kernel test-browser oldest flake proof mutants spark lint lab bench chaos matrix notebooks docs pictures dist release-check audit clean help

help:  ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("voxops needs Python 3.11 or newer; set PYTHON=") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

# Tests use the installed wheel, never the source folder.
$(VENV)/installed: $(BIN)/python pyproject.toml $(SOURCES)
	$(PIP) install $(CONSTRAIN) --force-reinstall --no-deps .
	$(PIP) install $(CONSTRAIN) .
	@touch $@

$(VENV)/tools: $(VENV)/installed
	$(PIP) install $(CONSTRAIN) '.[test,lint,bench,docs]'
	@touch $@

# What a notebook needs, or the site, and nothing else.
$(VENV)/lab $(VENV)/docs: $(VENV)/installed
	$(PIP) install $(CONSTRAIN) '.[$(@F)]'
	@touch $@

demo: $(VENV)/installed  ## Run the main workflow in a terminal, against the embedded sandbox
	@$(BIN)/voxops demo

# Each file runs in one worker, long ones first (see tests/conftest.py). Tests of browsers, kernels and chaos mostly wait, so three
# workers fit two processors.
TESTS = $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(addprefix tests/,$(T))

test: $(VENV)/tools  ## Run what a change must pass, against the built wheel; T="ledger engine" runs two folders, PYTHON=python3.13 another Python
	$(TESTS)

oldest:  ## Test the packages of T with the oldest allowed dependencies, in an environment of its own
	$(MAKE) test VENV=.venv-oldest CONSTRAIN='-c constraints-oldest.txt' T="$(or $(T),frames acts ledger archive)" \
	    PIP_CONSTRAINT=$(CURDIR)/constraints-oldest.txt PIP_BUILD_CONSTRAINT=

flake: $(VENV)/tools  ## Run tests often beside eight processes that compute; a test that is red once in twenty is a defect; T=ledger N=20 LOAD=8 MINUTES=; goes on where it ended
	$(BIN)/python -m tests.flake $(filter-out tests/%,$(TESTS))

test-kernel: $(VENV)/tools  ## Run the tests in a real Jupyter kernel
	$(BIN)/python -m pytest -m kernel -n 2 --dist loadfile

test-browser: $(VENV)/tools  ## Run the tests in headless Chromium
	$(BIN)/python -m pytest -m browser -n 2 --dist loadfile

lint: $(VENV)/tools  ## Run ruff and mypy --strict
	$(BIN)/ruff check src tests docs
	$(BIN)/ruff format --check src tests docs
	$(BIN)/mypy

docs: $(VENV)/docs  ## Build the site in build/docs; its pages run, and a warning ends it
	$(BIN)/python -m sphinx -W --keep-going -q -j 4 docs build/docs

lab: $(VENV)/lab  ## Open the notebooks in JupyterLab
	$(BIN)/jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) notebooks

pictures: $(VENV)/tools  ## Retake the README's screenshots in JupyterLab
	$(BIN)/python -m tests.browser.pictures

bench: $(VENV)/tools  ## Measure against peers and floors; no test asserts timing; writes build/bench.json
	$(BIN)/python -m tests.bench

chaos: $(VENV)/tools  ## Kill senders, break answers, and count effects at the server; ITEMS= KILLS= SEED= LEDGERS=
	$(BIN)/python -m tests.chaos

matrix: $(VENV)/tools  ## Try all that the 39 rows of the capability matrix imply against the sandbox, and count effects there
	@$(BIN)/python -m tests.conformance

proof: $(VENV)/tools  ## Run what a release must pass, for hours; a call takes 25 minutes, the next goes on; PARTS=exhaustive DEPTH= JOBS= MINUTES=
	$(BIN)/python -m tests.proof

mutants: $(VENV)/tools  ## Break functions of engine and acts with mutmut, and list what no test notices; FILES=engine/answers.py MINUTES= PYTEST_ADDOPTS="-k table"; all files take many hours, and go on where they ended
	$(PIP) install $(CONSTRAIN) '.[mutants]'
	$(if $(MINUTES),timeout --preserve-status -s INT $(MINUTES)m) $(BIN)/mutmut run $(foreach file,$(FILES),'voxops.$(subst /,.,$(basename $(file))).*')
	$(BIN)/mutmut results | sed '/: not checked$$/d'

spark:  ## Run the Spark of docs/how-to/long-history.md on Spark itself, in an environment of its own; needs Java
	$(MAKE) .venv-spark/tools VENV=.venv-spark
	.venv-spark/bin/python -m pip --disable-pip-version-check --quiet install 'pyspark>=4,<5'
	.venv-spark/bin/python -m tests.spark

notebooks: $(VENV)/tools  ## Execute, compare and render the notebooks; writes HTML to build/notebooks
	$(BIN)/python -m tests.notebooks

dist: $(VENV)/tools  ## Build wheel and source archive, and try each in an empty environment
	$(PIP) install $(CONSTRAIN) '.[dist]'
	rm -rf dist
	$(BIN)/python -m build --outdir dist .
	$(BIN)/python -m twine check --strict dist/*
	$(BIN)/python -m tests.dist dist/*

release-check: $(VENV)/tools  ## List what blocks a release; TAG=v1.2.3 also checks that tag
	$(BIN)/python -m tests.release '$(TAG)'

audit: $(VENV)/tools  ## Report licences, known vulnerabilities and files of what is installed; run before a release; X="archive lab" adds extras
	$(PYTHON) -m venv .venv-audit
	.venv-audit/bin/python -m pip --disable-pip-version-check --quiet install 'pip-audit>=2.9,<3'
	$(BIN)/python -m tests.audit .venv-audit/bin/pip-audit $(X)

clean:
	rm -rf .venv .venv-* build dist mutants
