# Every target sets up what it needs, from nothing but python3 and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SERVICES := deploy/kafka/target/.ready

.PHONY: help setup services demo test test-slow test-oneway test-faults test-histories fuzz lint format lock audit clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z%-]+:.*## / {printf "%-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@printf '%-14s %s\n' 'bench-NAME' 'Run benchmarks/NAME.py: a table, then one JSON object as the last line'

setup: $(STAMP)  ## Install into .venv from requirements.lock

$(STAMP): requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes --only-binary :all: -r requirements.lock
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

services: $(SERVICES)  ## Install Redis, Java, Maven and Kafka's jars, for the tests

$(SERVICES): deploy/install-services deploy/kafka/pom.xml
	deploy/install-services
	touch $@

demo: setup  ## Run the whole way on this machine, with invented records
	$(BIN)/silenthit demo

test: setup  ## Check everything: contracts, lint, types, tests (with Kafka and Redis)
	@$(MAKE) --no-print-directory services || echo "going on without: tests skip what is missing, and fail when CI=true" >&2
	@$(MAKE) --no-print-directory lint; lint=$$?; \
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile -m "not slow and not oneway and not faults"; \
	tests=$$?; \
	[ $$tests -eq 0 ] && exit $$lint; exit $$tests

test-slow: setup services  ## Run the tests that take long
	$(BIN)/python -m pytest -n 2 --dist loadfile --durations 20 -m slow

test-oneway: setup services  ## Compare all that others can see, with a watch and without it
	$(BIN)/python -m pytest -s -m oneway

test-faults: setup services  ## Kill, pause, cut off and fill brokers, workers and Redis while touches flow
	$(BIN)/python -m pytest -s -m faults

test-histories: setup services  ## Run histories by hand: HISTORIES=3000 SEED=0 in memory, KAFKA=300 on Kafka
	$(BIN)/python -m tests.histories.run --histories $(or $(HISTORIES),3000) --seed $(or $(SEED),0)
	$(if $(KAFKA),$(BIN)/python -m tests.histories.on_kafka --histories $(KAFKA) --seed $(or $(SEED),1))

fuzz: setup  ## Fuzz a target of tests/fuzz/targets.py: TARGET=wire SECONDS=3600
	$(BIN)/python -m tests.fuzz.run $(or $(TARGET),wire) --seconds $(or $(SECONDS),60)

lint: setup  ## Check import contracts, lint, format and types
	@failed=0; \
	for check in lint-imports "ruff check ." "ruff format --check ." mypy; do \
	  echo "$$check"; $(BIN)/$$check || failed=1; \
	done; exit $$failed

format: setup  ## Format the code
	$(BIN)/ruff check -q --fix .
	$(BIN)/ruff format .

bench-%: setup
	@$(BIN)/python $(firstword $(wildcard benchmarks/$(subst -,_,$*).py) benchmarks/$(subst -,_,$*))

lock: setup  ## Resolve pyproject.toml into requirements.lock anew
	$(BIN)/python -m pip install -q pip-tools
	CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/pip-compile -q --extra dev --extra fuzz --generate-hashes \
	  --strip-extras --unsafe-package silenthit --no-emit-index-url --no-emit-find-links \
	  --no-emit-trusted-host --no-emit-options -o $(VENV)/lock pyproject.toml
	sed '/^# WARNING/,$$d' $(VENV)/lock > $@.new && mv $@.new requirements.lock  # it would pin ourselves

audit: setup  ## Hold the lock to a copy of the PyPA advisory database: ADVISORIES=folder
	@$(BIN)/python deploy/audit.py $(ADVISORIES)

clean:  ## Remove what the other targets made
	rm -rf $(VENV) .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache \
	  build dist *.egg-info deploy/kafka/target deploy/kafka/run
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
