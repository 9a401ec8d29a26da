# alertgraph: `make` lists what there is to do.
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 3
SEED ?= 1
# Tests come in an order that is drawn anew each time; ORDER=7 repeats one.
ORDER ?= default
# Compiled modules are kept: without them each process that starts takes another second.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install ml web web-check web-codegen web-format run test test-second-server test-faults test-browser check lint types imports schema-check schema format lock simulate bench plans build docs screenshots client client-check clean debian

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "alertgraph needs Python 3.11 or newer; PYTHON=/path/to/python3 make $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "» making $(VENV)"
	@$(PYTHON) -m venv $(VENV) || { echo "Python's venv module is missing; on Debian: apt install python3-venv" >&2; exit 1; }
	@touch $@

$(VENV)/.runtime: $(VENV)/.python requirements-critical.txt pyproject.toml
	@echo "» installing alertgraph and what it needs (requirements-critical.txt)"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-input -r requirements-critical.txt
	@$(BIN)/alertgraph --version >/dev/null
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements-dev.txt
	@echo "» installing what the tests need (requirements-dev.txt)"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-input -r requirements-dev.txt
	@$(BIN)/pytest --version >/dev/null
	@touch $@

$(VENV)/.ml: $(VENV)/.runtime requirements-ml.txt
	@sh tools/install_ml.sh $(VENV)

install: $(VENV)/.runtime ## Make .venv with everything alertgraph needs to run

ml: $(VENV)/.ml ## Install what learns, torch and scikit-learn; make run does it by itself, beside the service

web: $(VENV)/.dev ## Build the console into the package, with the node that comes from PyPI
	@$(BIN)/python tools/console.py build

web-check: $(VENV)/.dev ## Check the console: generated code, style, types, tests; changes nothing
	@$(BIN)/python tools/console.py check

web-codegen: $(VENV)/.dev ## Write the console's types anew, after a change of its documents or the schema
	@$(BIN)/python tools/console.py codegen

web-format: $(VENV)/.dev ## Format the console's code
	@$(BIN)/python tools/console.py format

run: $(VENV)/.runtime ## Start alertgraph with an embedded database; prints its URL and first key
	@exec sh tools/run.sh $(VENV)

test: $(VENV)/.dev ## Run the tests
	@$(MAKE) -s ml || echo "» tests of what learns skip themselves" >&2
	@$(BIN)/pytest -n $(WORKERS) --dist loadgroup --randomly-seed=$(ORDER) -m "not faults and not second_server and not browser"

test-second-server: $(VENV)/.dev ## Run the tests of storage and wake-ups once more, on Debian's PostgreSQL or a named one
	@$(BIN)/pytest -n $(WORKERS) --dist loadgroup --randomly-seed=$(ORDER) -m "second_server"

test-faults: $(VENV)/.dev ## Run the slow tests of hardship: kill -9, stores that go away
	@$(BIN)/pytest -n 0 -m faults

test-browser: $(VENV)/.dev ## Look at the console in Debian's Chromium; ALERTGRAPH_SHOTS=folder keeps pictures
	@$(MAKE) -s web || echo "» the console can't be built; its tests skip themselves" >&2
	@$(BIN)/pytest -n 0 -m browser -p no:randomly tests/browser

check: lint types imports schema-check ## Check style, types, import contracts and the published schema; changes nothing

lint: $(VENV)/.dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(VENV)/.dev
	@$(BIN)/mypy
	@cd examples && ../$(BIN)/mypy --strict --config-file= --cache-dir ../.mypy_cache/examples --exclude '^base_client' .

imports: $(VENV)/.dev
	@$(BIN)/lint-imports

schema-check: $(VENV)/.dev
	@$(BIN)/alertgraph schema | diff -u schema.graphql - || { echo "schema.graphql is not what the code says: run make schema" >&2; exit 1; }
	@$(BIN)/python tools/reference.py --check

schema: $(VENV)/.dev ## Write schema.graphql and docs/reference/ anew
	@$(BIN)/alertgraph schema > schema.graphql.new && mv schema.graphql.new schema.graphql
	@$(BIN)/python tools/reference.py

format: $(VENV)/.dev ## Format the code
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

lock: $(VENV)/.dev ## Choose and write the locked versions anew
	@$(BIN)/python -m pip install -q uv && sh tools/lock.sh

simulate: $(VENV)/.dev ## Play a thousand seeds of the pager on a virtual clock, or one: make simulate SEED=42
	@SEEDS=$${SEEDS:-1000} $(BIN)/pytest tests/simulation -n 2 -p no:randomly

bench: $(VENV)/.dev ## Measure everything beside what it is compared with (QUICK=1: briefly); writes bench/results/
	@$(BIN)/python -m bench

plans: $(VENV)/.dev ## Look at every plan on a filled database: make plans DATA_DIR=~/filled ALERTS=10000000
	@$(BIN)/python -m bench plans --data-dir "$${DATA_DIR:?a folder, filled or to be filled}" --alerts "$${ALERTS:-10000000}"

build: web ## Build the console, the wheel and the source archive into dist/
	@$(BIN)/python -m pip install -q build && $(BIN)/python -m build

screenshots: $(VENV)/.dev ## Take the pictures of the console in docs/images/ anew, from the demo
	@$(BIN)/python tools/screenshots.py

# Environments of their own: what builds the pages and the client pins other versions than the service.
$(VENV)/docs/.made: $(VENV)/.python requirements-docs.txt
	@echo "» making $(VENV)/docs (requirements-docs.txt)"
	@$(PYTHON) -m venv $(VENV)/docs && $(VENV)/docs/bin/python -m pip install -qq --disable-pip-version-check --no-input -r requirements-docs.txt
	@touch $@

docs: $(VENV)/docs/.made ## Build the documentation into site/, strictly: a broken link is an error
	@NO_MKDOCS_2_WARNING=1 $(VENV)/docs/bin/mkdocs build

$(VENV)/client/.made: $(VENV)/.python requirements-client.txt
	@echo "» making $(VENV)/client (requirements-client.txt)"
	@$(PYTHON) -m venv $(VENV)/client && $(VENV)/client/bin/python -m pip install -qq --disable-pip-version-check --no-input -r requirements-client.txt
	@touch $@

client: $(VENV)/client/.made ## Generate the Python client in examples/ from the schema
	@sh tools/client.sh $(VENV)/client/bin/ariadne-codegen

client-check: $(VENV)/client/.made
	@sh tools/client.sh $(VENV)/client/bin/ariadne-codegen --check

debian: ## Install the Debian programs that tests and bench run: chromium, redis, prometheus, postgresql, wrk (needs root)
	apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium redis-server prometheus prometheus-alertmanager postgresql postgresql-contrib wrk

clean: ## Remove what was built and installed here
	rm -rf $(VENV) dist site web/node_modules web/graphiql/node_modules src/alertgraph/console src/alertgraph/graphiql .mypy_cache .ruff_cache .import_linter_cache .hypothesis tests/conformance/node_modules bench/peers/postgraphile/node_modules bench/peers/alerta/.venv
