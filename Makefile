# What one does with this repository: `make help`.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help venv venv-dev rehearse check test test-truth test-cluster test-deep bench lock docs clean

BIN := .venv/bin
PYTEST := $(BIN)/pytest
# What the rehearsal is called with; `make rehearse REHEARSE='--rehearse --rehearse-fault list'`.
REHEARSE ?= --rehearse --answers examples/small.yaml --plain --yes
# Further arguments for pytest: `make test ARGS='-k settings'`.
ARGS ?=
CODE := $(wildcard installer manifests screens airgap scripts tests)

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: ## make .venv with what the product needs, out of the hash-locked list
	@scripts/venv run

venv-dev: ## the same, with what checks and tests need
	@scripts/venv dev

rehearse: venv ## install on a simulated cluster: nothing outside a directory and loopback is touched
	@$(BIN)/matrix-install $(REHEARSE)

check: venv-dev ## lint, format, lengths, types, import contracts
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/python -m scripts.sizes $(CODE)
	$(BIN)/mypy $(CODE)
	$(BIN)/lint-imports --no-logo

test: venv-dev ## unit, property and contract tests, rehearsal end to end
	@scripts/debian-packages requirements/debian-test.txt
	$(PYTEST) -n 2 tests/unit tests/e2e tests/contract $(ARGS)

test-truth: venv-dev ## rendered configuration in the real programs
	@scripts/debian-packages requirements/debian-test.txt
	$(PYTEST) tests/truth $(ARGS)

test-cluster: venv-dev ## the engine against a real control plane (built from Go modules the first time)
	@scripts/debian-packages requirements/debian-test.txt
	$(BIN)/python -m tests.lab.builds
	$(PYTEST) tests/cluster $(ARGS)

test-deep: venv-dev ## the long matrices, by hand
	@scripts/debian-packages requirements/debian-test.txt
	$(BIN)/python -m tests.lab.builds
	$(PYTEST) tests/deep $(ARGS)

bench: venv-dev ## side by side with kubectl and SQLite, by hand
	$(BIN)/python -m tests.lab.builds
	$(BIN)/python -m tests.bench

lock: venv-dev ## write requirements/*.txt anew (ARGS=--upgrade for newer versions)
	scripts/lock $(ARGS)

docs: venv-dev ## write the made parts of the manual anew: settings, components, unverified facts
	$(BIN)/python -m scripts.settings_page
	$(BIN)/python -m scripts.component_pages

clean: ## remove the virtual environment and caches
	rm -rf .venv .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
