SHELL := bash
.DEFAULT_GOAL := help
.PHONY: help setup setup-test setup-test-all demo test test-all bench-large lint format stubs constraints clean

PYTHON_DIR := .venv/bin
# Files are shared out among this many processes (tests/conftest.py says in which order). Tests wait
# for servers more than they compute, so it may be more than there are cores.
TEST_PROCESSES := 3
PYTEST := $(PYTHON_DIR)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder
# Tools that `make setup` puts beside Python (promtool) are found by tests and scripts.
export PATH := $(CURDIR)/$(PYTHON_DIR):$(PATH)

help: ## Show this.
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Make .venv and install what is missing; quick when nothing is.
	@.ci/setup.sh

setup-test: # and what only tests need
	@.ci/setup.sh test

setup-test-all: # and what only slow tests need
	@.ci/setup.sh test-all

demo: setup ## Run the whole loop. CHECKINS=file: on real check-ins. KEEP=1: stay up.
	@$(PYTHON_DIR)/placestream demo \
		$(if $(CHECKINS),--checkins '$(CHECKINS)') $(if $(filter-out 0,$(KEEP)),--keep)

test: setup-test lint ## Lint, and all tests but the slow ones.
	$(PYTEST) -m "not slow"

test-all: setup-test-all lint ## Lint, and every test.
	$(PYTEST)

bench-large: setup-test ## Time and memory of training up to 10^7 interactions. CHECKINS=file too.
	$(PYTHON_DIR)/python -m benchmarks.training --large --json \
		$(if $(CHECKINS),--checkins '$(CHECKINS)')

lint: setup ## Check style (ruff) and types (mypy, strict).
	$(PYTHON_DIR)/ruff check
	$(PYTHON_DIR)/ruff format --check
	$(PYTHON_DIR)/mypy

format: setup ## Put files in order, as `lint` wants them.
	$(PYTHON_DIR)/ruff check --fix
	$(PYTHON_DIR)/ruff format

stubs: setup ## Make anew what is made from the code: gRPC stubs, docs/api.md and metrics.md, dashboards.
	$(PYTHON_DIR)/python -m contracts.make_stubs
	$(PYTHON_DIR)/python -m contracts.make_api_docs
	$(PYTHON_DIR)/python -m placestream.metrics_table
	$(PYTHON_DIR)/python -m placestream.dashboards

constraints: ## Write constraints.txt from what .venv holds (after a deliberate upgrade).
	@{ sed -n '/^#/p' constraints.txt; \
		$(PYTHON_DIR)/python -m pip freeze --exclude-editable | grep -v ' @ '; } > constraints.new
	@mv constraints.new constraints.txt

clean: ## Remove .venv, caches and build output (not var/, which holds data of `placestream up`).
	rm -rf .venv build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
