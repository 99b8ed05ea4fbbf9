# Needs only make and Python 3.11 or newer. Every target makes the environment .venv that it runs in by
# itself; a stamp file inside it says what is installed, so that a second run starts at once.
PYTHON ?= python3
JOBS ?= 2
PYTEST_ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
# -qq: progress and notes are hidden, errors are shown.
PIP_INSTALL = $(BIN)/python -m pip install -qq --disable-pip-version-check --constraint constraints.txt
INSTALLED_FROM := pyproject.toml constraints.txt Makefile

.DEFAULT_GOAL := help
.PHONY: help demo test pytest thorough lint docs bench format clean distclean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.demo-installed ## Install, then train a small model twice and write both reports
	$(BIN)/losscope demo

# Side by side: style and documentation take one core each for a minute or two, the tests what is left and ten more.
test: $(VENV)/.test-installed ## Install, then lint, build the documentation and run the tests
	@$(MAKE) --no-print-directory --jobs=3 lint docs pytest

pytest: $(VENV)/.test-installed
	$(BIN)/pytest -n $(JOBS) --dist worksteal $(PYTEST_ARGS)

thorough: $(VENV)/.test-installed ## Run the slow checks that `make test` leaves out
	$(BIN)/pytest -n $(JOBS) -m thorough $(PYTEST_ARGS)

lint: $(VENV)/.test-installed ## Check style, types, spelling, dependencies and the layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/pyright
	$(BIN)/lint-imports --no-logo
	$(BIN)/codespell
	$(BIN)/deptry src

docs: $(VENV)/.test-installed ## Build the documentation; any warning is an error
	$(BIN)/sphinx-build -q -W --keep-going -b html -d docs/_build/doctrees docs docs/_build/html

bench: $(VENV)/.test-installed ## Run every benchmark, one after the other
	@set -e; for file in $$(find benchmarks -name 'bench_*.py' | sort); do \
	  echo "== $$file"; $(BIN)/python "$$file"; done

format: $(VENV)/.test-installed ## Rewrite the code in the project's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## Remove everything that was built, but not the environment
	rm -rf docs/_build docs/reference/generated dist losscope-demo .losscope
	rm -rf .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests docs benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

distclean: clean ## Remove the environment as well
	rm -rf $(VENV)

# pip is the last thing that venv puts in place: an interrupted creation is taken up again.
$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "losscope needs Python 3.11 or newer; choose one with: make PYTHON=/path/to/python3" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# The pip that comes with Python 3.11 is too old for dependency groups.
$(VENV)/.demo-installed: $(INSTALLED_FROM) | $(BIN)/pip
	@echo "Installing losscope and PyTorch into $(VENV); this takes a minute or two"
	@$(PIP_INSTALL) --upgrade pip
	@$(PIP_INSTALL) --build-constraint constraints.txt --editable '.[demo]'
	@touch $@

$(VENV)/.test-installed: $(VENV)/.demo-installed
	@echo "Installing the tools for testing into $(VENV)"
	@$(PIP_INSTALL) --group lint --group docs --group test
	@touch $@
