# ArcBridge. `make help` lists what there is; every target does its own set-up.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STATE := $(or $(ARCBRIDGE_STATE_DIR),.arcbridge)
UV_VERSION := 0.13.9
READY := $(VENV)/.ready
TOOLS := $(STATE)/bin/.ready
export PYTHONPATH := $(CURDIR)
# Trust what the machine trusts: a company's own authority stands in its store, not in uv's.
export UV_SYSTEM_CERTS ?= true

.DEFAULT_GOAL := help
.PHONY: help setup demo up attack kills mutations mutants sbom audit test lint bench fleet trial proto lock clean

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

$(VENV)/bin/uv:
	@echo "set-up: virtual environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -q --disable-pip-version-check uv==$(UV_VERSION)

$(READY): dev/requirements.txt pyproject.toml | $(VENV)/bin/uv
	@echo "set-up: installing the locked packages"
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install -q --compile-bytecode --require-hashes -r dev/requirements.txt
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install -q --no-deps --no-build-isolation -e .
	@touch $@

$(TOOLS): dev/helm.txt dev/tools.py $(READY)
	@echo "set-up: helm and kubectl"
	@$(BIN)/python -m dev.tools $(STATE)/bin
	@touch $@

setup: $(READY) $(TOOLS) ## install everything into .venv and .arcbridge

demo: setup ## watch ArcBridge do its job on five clusters; exit status 0 if every step ended right
	@$(BIN)/python -m dev.demo

up: setup ## start the same stack and leave it running (Ctrl-C ends it)
	@$(BIN)/python -m dev.up

attack: setup ## play every row of the attack table against a running system (ONLY=word picks rows)
	@$(BIN)/python -m tests.attacks $(ONLY)

kills: setup ## kill -9 agent and helm at N random moments of an upgrade (N=20 SEED=…), with figures
	@ARCBRIDGE_TEST_KILLS=$(or $(N),20) ARCBRIDGE_SEED=$(SEED) \
	  $(BIN)/python -m pytest -q -s -n0 tests/e2e/test_kill_upgrade.py

mutations: setup ## send N seeded mutants of valid requests (N=20000 SEED=…): no 5xx, no growth
	@$(BIN)/python -m tests.mutations $(or $(N),20000) $(SEED)

test: setup ## every test that runs on one machine
	@$(BIN)/python -m dev.check tests

lint: setup ## ruff, mypy, import-linter, basedpyright; checkov, actionlint, zizmor, hadolint
	@$(BIN)/python -m dev.check lint

bench: setup ## benchmarks as ratios measured side by side (ONLY=name picks one)
	@$(BIN)/python -m bench $(ONLY)

fleet: setup ## N agents in a SCENARIO of dev/fleet/scenarios (N=100 SCENARIO=bad-canary)
	@$(BIN)/python -m dev.fleet -n $(or $(N),100) $(or $(SCENARIO),bad-canary)

trial: setup ## charts and overlays of others, listed in FROM, on a simulated cluster or KUBECONFIG's (ONLY=name)
	@$(BIN)/python -m dev.trial $(FROM) $(if $(ONLY),--only $(ONLY))

sbom: $(READY) ## CycloneDX of each deployable out of its lock, into build/sbom
	@$(BIN)/python -m dev.sbom

audit: $(READY) ## known vulnerabilities of what the locks hold; fails where the database cannot be asked
	@$(BIN)/python -m dev.audit

mutants: $(READY) ## change the planner and the pacing in small ways: which change does no test see (minutes; resumes)
	@$(BIN)/python -m dev.mutants $(ONLY)

proto: $(READY) ## regenerate shared/rpc/v1 from protos/
	@$(BIN)/python -m grpc_tools.protoc -Ishared/rpc/v1=protos/arcbridge/relay/v1 \
		--python_out=. --pyi_out=. --grpc_python_out=. shared/rpc/v1/relay.proto

lock: | $(VENV)/bin/uv ## resolve every lock again from its .in file
	@for d in . relay agent arcbridge dev; do \
		$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes \
			--custom-compile-command "make lock" $$d/requirements.in -o $$d/requirements.txt $(LOCKFLAGS); done
	@$(BIN)/uv pip compile -q --python-version 3.13 --generate-hashes \
		--custom-compile-command "make lock" dev/requirements-worker.in -o dev/requirements-worker.txt $(LOCKFLAGS)
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes \
		--override dev/requirements-infra-overrides.txt --custom-compile-command "make lock" \
		dev/requirements-infra.in -o dev/requirements-infra.txt $(LOCKFLAGS)
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes \
		--custom-compile-command "make lock" dev/requirements-mutants.in -o dev/requirements-mutants.txt $(LOCKFLAGS)
	@$(BIN)/uv pip compile -q --no-deps --universal --python-version 3.11 --generate-hashes \
		--custom-compile-command "make lock" dev/helm.in -o dev/helm.txt $(LOCKFLAGS)

clean: ## remove the environment, the state and the caches
	@rm -rf $(VENV) .venv-* $(STATE) mutants .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
