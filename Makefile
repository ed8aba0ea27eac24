# Two commands are all that a machine with Python 3.11 or later needs: `make demo` and `make test`.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
CASES  ?= ../shared/incidents

.PHONY: help demo test check unit cluster nodes e2e door bench image-root docs clean

help:  ## what there is to make
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

demo: $(VENV)/.serve  ## an old and a new version of real manifests, then the service and a review sent to it
	@$(BIN)/python demo/run.py

test: check unit cluster nodes  ## everything that continuous integration runs

check: $(VENV)/.dev  ## formatting, lint, types, layers, generated documents
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy policies certs kube webhook operator cli
	$(BIN)/lint-imports
	$(BIN)/python docs/generate.py --check

unit: $(VENV)/.dev  ## the tests that need no cluster
	$(BIN)/pytest -q -n auto --ignore tests/cluster --ignore tests/e2e

cluster: $(VENV)/.dev  ## the tests on a real API server; those of the operator have one each, and run beside each other
	$(BIN)/pytest -q tests/cluster --ignore-glob '*/test_operate*'
	$(BIN)/pytest -q -n auto --dist loadfile tests/cluster/test_operate*.py

nodes: $(VENV)/.dev  ## one engine on three real nodes, under a client that writes all along
	$(BIN)/pytest -q tests/e2e/test_etcd.py

e2e: $(VENV)/.dev  ## Stateward and real engines on three real nodes, about an hour: make e2e [ONLY=etcd]
	STATEWARD_E2E_REPORT=docs/seen.md $(BIN)/pytest -q $(if $(ONLY),tests/e2e/test_$(ONLY).py,tests/e2e)

door: $(VENV)/.dev  ## put a folder of cases through a real API server: make door CASES=FOLDER
	$(BIN)/python tests/cluster/door.py $(CASES) $(ARGS)

bench: $(VENV)/.dev  ## how fast the engine, the linter and the door are
	$(BIN)/pytest -q -o pythonpath=benchmarks benchmarks/test_parts.py
	$(BIN)/python benchmarks/engine.py
	$(BIN)/python benchmarks/lint.py
	$(BIN)/python benchmarks/door.py

image-root: $(VENV)/bin/python  ## lay what the image holds into a folder, without a container: make image-root FOLDER=…
	@test -n "$(FOLDER)" || { echo "FOLDER is missing: make image-root FOLDER=build/image"; exit 1; }
	@sh manifests/image.sh "$(FOLDER)" $(BIN)/python

docs: $(VENV)/.dev  ## write the generated documents and manifests
	$(BIN)/python docs/generate.py

clean:  ## remove the environment
	rm -rf $(VENV)

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or later is needed; $$($(PYTHON) --version) is here. Try: make PYTHON=python3.12 …"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "venv is missing; on Debian: apt-get install python3-venv"; rm -rf $(VENV); exit 1; }
	@$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/.serve: $(VENV)/bin/python pyproject.toml
	@echo "installing Stateward into $(VENV) …"
	@$(BIN)/python -m pip install --quiet --editable '.[serve]'
	@$(BIN)/python -m compileall -q policies certs kube webhook operator cli
	@touch $@

$(VENV)/.dev: $(VENV)/bin/python pyproject.toml
	@echo "installing Stateward and its tests into $(VENV) …"
	@$(BIN)/python -m pip install --quiet --editable '.[serve,dev]'
	@$(BIN)/python -m compileall -q policies certs kube webhook operator cli
	@touch $@ $(VENV)/.serve
