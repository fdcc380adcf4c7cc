# The front door. Everything it needs it sets up by itself, in .venv; nothing else is touched.

VENV := .venv
BIN := $(VENV)/bin
PROJECTS := core $(wildcard plugins/*)
PYPROJECTS := $(wildcard core/pyproject.toml plugins/*/pyproject.toml)
PACKAGES := alicia_scheduler $(notdir $(wildcard plugins/*/src/* examples/plugins/*/src/*))

.PHONY: help setup demo test test-slow bench lint format cli-reference clean

help: ## say what there is
	@grep -E '^[a-z-]+:.*##' Makefile | sed 's/:.*##/ —/'

setup: $(VENV)/.runs ## make .venv with every package of this repository

$(VENV)/.runs: constraints.txt tools/setup.sh $(PYPROJECTS)
	@sh tools/setup.sh $(VENV) $(PROJECTS)
	@touch $@

$(VENV)/.tests: $(VENV)/.runs tools/requirements-test.txt
	@echo "setup: installing what the tests need"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		-c constraints.txt -r tools/requirements-test.txt
	@touch $@

demo: $(VENV)/.runs ## run the scheduler on a few short events, until Ctrl-C
	@$(BIN)/alicia run examples/demo.toml

test: $(VENV)/.tests ## run all tests, also those against a real Mosquitto
	@sh tools/test-programs.sh
	@ALICIA_REQUIRE_MOSQUITTO=1 $(BIN)/python -m pytest -q -p no:cacheprovider -m "not slow" $(ARGS)

test-slow: $(VENV)/.tests ## the slow tier: larger random runs, every zone there is
	@sh tools/test-programs.sh
	@ALICIA_REQUIRE_MOSQUITTO=1 $(BIN)/python -m pytest -q -p no:cacheprovider -m slow $(ARGS)

$(VENV)/.peers: $(VENV)/.runs $(wildcard benchmarks/peers/*)
	@sh benchmarks/peers/install.sh $(VENV)
	@touch $@

bench: $(VENV)/.peers ## measure against peers and limits; ONLY=dispatch for one of the benchmarks
	@$(BIN)/python -m benchmarks $(addprefix --only ,$(ONLY)) $(ARGS)

lint: $(VENV)/.tests ## ruff and mypy --strict on everything
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@MYPYPATH=$$(echo examples/plugins/*/src | tr ' ' ':') \
		$(BIN)/mypy --strict $(addprefix -p ,$(PACKAGES) benchmarks)

format: $(VENV)/.tests ## let ruff format everything
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

cli-reference: $(VENV)/.runs ## write docs/reference/cli.md anew from the commands
	@$(BIN)/python tools/cli_reference.py

clean: ## remove .venv and all caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis state
