# Every target works on a fresh checkout: it first builds .venv from the hash-locked file.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PYTHONHASHSEED := 0

.DEFAULT_GOAL := help
.PHONY: help install dev demo up test test-all cluster test-cluster provider bench promises mutants lint format lock openapi permissions personal-data sbom clean

help: ## show the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t12

$(VENV)/.run: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Baray needs Python 3.11 or newer; $(PYTHON) is older. Try: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --require-hashes --requirement requirements.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.run
	$(BIN)/pip install --quiet --require-hashes --requirement requirements-dev.lock
	@touch $@

install: $(VENV)/.run ## install Baray into .venv

dev: $(VENV)/.dev ## install the developers' tools too

demo: install ## an example centre with real jobs, run to the end (TRACE=file.csv.gz for a trace of your own)
	$(BIN)/baray demo $(if $(TRACE),--trace $(TRACE))

up: install ## the whole centre on this machine, left running
	$(BIN)/baray up

test: dev ## the tests (under 10 minutes on 2 cores)
	$(BIN)/pytest -q -n 2 -m "not slow"

test-all: test ## the slow proofs too
	$(BIN)/pytest -q -n 2 -m slow

CLUSTER := tests/cluster
$(CLUSTER)/.built/complete: $(CLUSTER)/go.mod $(CLUSTER)/go.sum $(CLUSTER)/build.sh
	@$(CLUSTER)/build.sh

cluster: $(CLUSTER)/.built/complete ## build a Kubernetes control plane for test-cluster (needs Go; 6 minutes on 2 cores the first time)

test-cluster: dev ## the tests on a real Kubernetes control plane: make cluster first, or BARAY_TEST_KUBECONFIG=file
	$(BIN)/pytest -q -n 0 $(CLUSTER)

PROVIDER := tests/identity/provider
$(PROVIDER)/node_modules/.package-lock.json: $(PROVIDER)/package.json $(PROVIDER)/package-lock.json
	@command -v npm >/dev/null || { echo "npm is needed for the OpenID provider of the tests: install Node.js, any version." >&2; exit 1; }
	cd $(PROVIDER) && npm ci
	@touch $@

provider: $(PROVIDER)/node_modules/.package-lock.json ## the OpenID provider of the tests of login (needs npm; they need Chromium too)

promises: dev ## a line per promise of the design (ONLY=3 for one; FAST=1 without the slow proofs)
	$(BIN)/python -m tests.promises $(if $(ONLY),--only $(ONLY)) $(if $(FAST),--fast)

mutants: dev ## each promise's seeded mutants must be caught by its tests (ONLY=3 for one promise, SAMPLE=30 for so many)
	$(BIN)/python -m tests.mutants $(if $(ONLY),--only $(ONLY)) $(if $(SAMPLE),--sample $(SAMPLE))

bench: dev ## one JSON line per figure (ONLY=submit for one)
	@$(BIN)/python -m bench $(if $(ONLY),--only $(ONLY))

lint: dev ## formatter, linter, strict types, layering
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: dev ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: ## resolve the lock files anew (needs uv); they carry versions and hashes, no addresses
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --extra build --extra demo pyproject.toml -o requirements.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --extra build --extra demo --extra dev pyproject.toml -o requirements-dev.lock

openapi: dev ## the examples of the OpenAPI document, from the walk over all routes
	BARAY_WRITE_EXAMPLES=1 $(BIN)/pytest -q -n 0 tests/api/test_examples.py

permissions: dev ## docs/permissions.md from the matrix and the routes
	$(BIN)/python -m tests.permissions docs/permissions.md

personal-data: dev ## docs/personal-data.md from the register
	$(BIN)/python -m tests.personal_data

sbom: dev ## the software bill of materials, CycloneDX 1.6, in dist/sbom.json
	$(BIN)/python -m tests.sbom dist/sbom.json

clean: ## remove what was built
	rm -rf $(VENV) .data dist build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
