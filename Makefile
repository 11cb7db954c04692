# The front door. Every target says what it does; CI runs the same ones.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON := .venv/bin/python
STAMP := .venv/.installed

.PHONY: help
help: ## List every target
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  %-14s %s\n", $$1, $$2}'

.PHONY: install
install: ## Make the virtual environment with the pinned dependencies
	@scripts/bootstrap

.PHONY: up
up: ## Start the whole stack, on the demo clock; Ctrl-C stops all
	@scripts/up $(UP)

.PHONY: down
down: ## Stop a stack that was started with UP=--detach
	@scripts/down

.PHONY: status
status: install ## Show what runs, how each model does, which alerts fire
	@$(PYTHON) -m operations status

.PHONY: bundles
bundles: install ## Train the demo models and pack their bundles
	@$(PYTHON) -m training

.PHONY: test
test: install lint tools ## Everything that CI runs: lint, fast tests, tests with real processes
	@$(PYTHON) -m pytest -q --ignore=tests/stack
	@$(PYTHON) -m pytest -q tests/stack

.PHONY: test-fast
test-fast: install bundles-if-missing ## The tests without real processes, under a minute
	@$(PYTHON) -m pytest -q --ignore=tests/stack

.PHONY: load
load: install ## Load test of a running predictor: ten seconds of everything, as CSV and HTML
	@.venv/bin/locust --config loadtest/scenarios/smoke.conf

.PHONY: bench
bench: install ## Measure what the prediction log costs on the path of a request
	@$(PYTHON) -m scripts.bench_prediction_log

.PHONY: soak
soak: install tools ## Kill everything at random for 50 rounds on each database; nothing may be lost
	@$(PYTHON) -m tests.stack.soak $(SOAK)

.PHONY: compose-check
compose-check: install ## Build and run the containers for real, and see one alert arrive
	@scripts/compose-check $(COMPOSE)

.PHONY: lint
lint: install ## Style, types, layers
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check -q .
	@$(PYTHON) -m mypy
	@$(PYTHON) -m grafana.build --check
	@.venv/bin/lint-imports --no-logo

.PHONY: tools
tools: install bundles-if-missing ## Fetch Prometheus and Alertmanager for the tests
	@scripts/test-packages
	@scripts/fetch-monitoring .local/bin

.PHONY: bundles-if-missing
bundles-if-missing: install
	@test -f bundles/iris/1/manifest.json || $(PYTHON) -m training

.PHONY: generate
generate: install ## Write what is generated and committed: dashboards, OpenAPI snapshot
	@$(PYTHON) -m grafana.build
	@$(PYTHON) -m scripts.openapi_snapshot
	@$(PYTHON) -m scripts.configuration_page

.PHONY: lock
lock: install ## Pin the dependencies of requirements*.in, with hashes
	@$(PYTHON) -m pip install -q uv==0.13.8
	@for name in requirements requirements-dev; do \
		.venv/bin/uv pip compile -q --generate-hashes --universal --python-version 3.11 --no-header $$name.in -o $$name.txt; \
	done

.PHONY: clean
clean: ## Remove everything that was made, but not the sources
	@rm -rf .venv .local bundles/*/ .mypy_cache .ruff_cache .pytest_cache .hypothesis
