# Every target but help prepares .venv by itself and installs again only when pyproject.toml changed.
PYTHON ?= python3.11
MINUTES ?= 10
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test check bench bench-fleet soak outages fmt help

test: $(VENV)/.with-test  ## the tests, with branch coverage
	@$(BIN)/pytest -n 2 --cov --cov-report=term

demo: $(VENV)/.with-test  ## a scripted minute of what the sidecar does
	@$(BIN)/sidecar demo

check: $(VENV)/.with-test,check  ## ruff, mypy strict, import contracts, sizes
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --quiet --diff
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/pytest tests/test_architecture.py

fmt: $(VENV)/.with-test,check  ## formats, and fixes what a machine can fix
	@$(BIN)/ruff check --quiet --fix
	@$(BIN)/ruff format --quiet

bench: $(VENV)/.with-bench  ## CPU, latency and memory beside Envoy and others, ten minutes; needs nginx and wrk
	@$(BIN)/python -m tests.bench

bench-fleet: $(VENV)/.with-test  ## 50 sidecars and 1000 pods on one Redis: cold starts, busts, revocations, five minutes
	@$(BIN)/python -m tests.bench_fleet

soak: $(VENV)/.with-test  ## mixed load while everything around it fails in turn; MINUTES=10
	@$(BIN)/python -m tests.soak --minutes $(MINUTES)

outages: $(VENV)/.with-test  ## Redis killed and stopped for 30 s under load
	@OUTAGE_SECONDS=30 $(BIN)/pytest --timeout 300 tests/test_fleet_outages.py

help:  ## these lines
	@sed -n 's/^\([a-z-]*\):.*## /make \1\t/p' Makefile

$(VENV)/.with-%: pyproject.toml | $(BIN)/python
	@echo "Installing .[$*] into $(VENV) ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[$*]'
	@touch '$@'

$(BIN)/python:
	@$(PYTHON) -m venv $(VENV)
