# The front door. Everything it needs it sets up by itself, in .venv; nothing else is touched.

VENV := .venv
BIN := $(VENV)/bin
PROJECTS := core $(wildcard plugins/*)
PYPROJECTS := $(wildcard core/pyproject.toml plugins/*/pyproject.toml)
PACKAGES := alicia_scheduler $(notdir $(wildcard plugins/*/src/* examples/plugins/*/src/*))

# So many tests at once: most of them wait, for brokers, processes and sockets.
JOBS ?= 4
PYTEST := $(BIN)/python -m pytest -q -o cache_dir=$(VENV)/.pytest
BESIDE := -n $(JOBS) --dist worksteal

.PHONY: help setup demo test test-slow bench docs reference lint types format clean

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
	@export ALICIA_REQUIRE_MOSQUITTO=1; \
	$(PYTEST) $(BESIDE) -m "not slow" $(ARGS) || { \
		echo "test: once more, one by one, what failed beside others"; \
		$(PYTEST) -m "not slow" --last-failed --last-failed-no-failures none $(ARGS); }

test-slow: $(VENV)/.tests ## the slow tier: larger random runs, every zone there is
	@sh tools/test-programs.sh
	@ALICIA_REQUIRE_MOSQUITTO=1 $(PYTEST) $(BESIDE) -m slow $(ARGS)

$(VENV)/.peers: $(VENV)/.runs $(wildcard benchmarks/peers/*)
	@sh benchmarks/peers/install.sh $(VENV)
	@touch $@

bench: $(VENV)/.peers ## measure against peers and limits; ONLY=dispatch for one of the benchmarks
	@$(BIN)/python -m benchmarks $(addprefix --only ,$(ONLY)) $(ARGS)

$(VENV)/.docs: $(VENV)/.runs tools/requirements-docs.txt
	@echo "setup: installing what makes the documentation"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		-c constraints.txt -r tools/requirements-docs.txt
	@touch $@

docs: $(VENV)/.docs ## make the documentation in docs/_build; every warning is an error
	@$(BIN)/sphinx-build -q -W --keep-going -b html -d .sphinx docs docs/_build
	@echo "docs: docs/_build/index.html"

reference: $(VENV)/.runs ## make the pages of docs/reference anew that are made of the code
	@$(BIN)/python -m tools.reference
	@$(BIN)/python -m alicia_scheduler.control.reference > docs/reference/commands.md
	@$(BIN)/python tools/cli_reference.py

lint: $(VENV)/.tests ## ruff and mypy --strict on everything
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@MYPYPATH=$$(echo examples/plugins/*/src | tr ' ' ':') \
		$(BIN)/mypy --strict $(addprefix -p ,$(PACKAGES) benchmarks tools.reference)

$(VENV)/.types: $(VENV)/.runs tools/requirements-types.txt
	@echo "setup: installing what measures the types"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		-c constraints.txt -r tools/requirements-types.txt
	@touch $@

types: $(VENV)/.types ## every name that plugins import has its whole type: pyright's 100 %
	@PATH="$(CURDIR)/$(BIN):$$PATH" \
		$(BIN)/pyright --verifytypes alicia_scheduler.api --ignoreexternal

format: $(VENV)/.tests ## let ruff format everything
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

clean: ## remove .venv and all caches
	rm -rf $(VENV) .sphinx docs/_build .mypy_cache .ruff_cache .pytest_cache .hypothesis state
