# Everything a person does here. `make` alone lists it. Needs Python 3.11 or newer, pip and make.
.DEFAULT_GOAL := help
.PHONY: help setup demo test check format up chaos bench bench-service clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The environment is made anew when what it is made from changes.
READY := $(VENV)/.ready
# Two test processes suit two cores; more of them only take turns.
TEST_PROCESSES ?= 2
# What `make bench` is told, say: make bench BENCH='--only mazur,digits'
BENCH ?=
# What `make bench-service` is told, say: make bench-service BENCH_SERVICE='--parts sqlite'
BENCH_SERVICE ?=
# What `make chaos` is told, say: make chaos CHAOS='--kills 100 --zombies 20'
CHAOS ?=

help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-13s %s\n", $$1, $$2}' Makefile

setup: $(READY) ## create the virtual environment and install everything into it

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "backpropd needs Python 3.11 or newer; say which with make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	@# Setuptools warns of every editable installation at length; there is nothing to be done.
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --editable '.[embedded,export,kernels,parquet,postgres]' --group dev
	@touch $(READY)

demo: $(READY) ## start the stack, train Mazur's network and iris over HTTP, show it all, stop the stack
	$(BIN)/backpropd demo

test: $(READY) ## the whole test suite, on real SQLite, PostgreSQL and Redis
	$(BIN)/python -m tests.web.browser
	$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadgroup

check: $(READY) ## format, lint, types, import contracts, laws of the house
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml
	@# The blocks of the documents run in `make test`, beside the rest.
	$(BIN)/python -m pytest -q -n $(TEST_PROCESSES) -m 'not system' tests/house

format: $(READY) ## put every file into the project's form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

up: $(READY) ## start the stack on http://127.0.0.1:8000 and keep it up; Ctrl-C stops it
	$(BIN)/backpropd up

chaos: $(READY) ## kill everything a thousand times on both databases, and write docs/reference/chaos.md
	$(BIN)/python -m tests.chaos $(CHAOS)

bench: $(READY) ## race everybody, and write the figures of README.md and docs/reference/bench.md
	$(BIN)/python -m bench $(BENCH)

bench-service: $(READY) .venv-bench-service/.ready ## measure the service over HTTP beside MLflow and FastTrackML
	$(BIN)/python -m bench.service $(BENCH_SERVICE)

.venv-bench-service/.ready: Makefile
	$(PYTHON) -m venv .venv-bench-service
	.venv-bench-service/bin/pip install --quiet 'mlflow>=3,<4' 'fasttrackml>=0.5'
	@touch $@

clean: ## remove the virtual environment and every cache
	rm -rf $(VENV) .venv-bench-service .venv-bench .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build *.egg-info
