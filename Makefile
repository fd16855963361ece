# Every target prepares .venv by itself and installs again only when pyproject.toml changed.
PYTHON ?= python3.11
MINUTES ?= 10
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test check bench soak outages fmt

test: $(VENV)/.with-test
	@$(BIN)/pytest -n 2 --cov --cov-report=term

demo: $(VENV)/.with-test
	@$(BIN)/sidecar demo

check: $(VENV)/.with-test,check
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --quiet --diff
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/pytest tests/test_architecture.py

fmt: $(VENV)/.with-test,check
	@$(BIN)/ruff check --quiet --fix
	@$(BIN)/ruff format --quiet

bench: $(VENV)/.with-bench
	@$(BIN)/python -m tests.bench

soak: $(VENV)/.with-test
	@$(BIN)/python -m tests.soak --minutes $(MINUTES)

outages: $(VENV)/.with-test
	@OUTAGE_SECONDS=30 $(BIN)/pytest --timeout 300 tests/test_fleet_outages.py

$(VENV)/.with-%: pyproject.toml | $(BIN)/python
	@echo "Installing .[$*] into $(VENV) ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[$*]'
	@touch '$@'

$(BIN)/python:
	@$(PYTHON) -m venv $(VENV)
