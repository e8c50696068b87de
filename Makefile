# What a contributor runs daily. PYTHON names another interpreter, as in `make test PYTHON=.venv/bin/python`.
PYTHON ?= python

.PHONY: help setup test fast slow lint format types docs ci

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 9

setup: ## install the checkout with everything that the targets below need
	$(PYTHON) -m pip install -e ".[dev,docs]"

test: ## all tests but the slow ones, on two cores
	$(PYTHON) -m pytest

fast: ## tests whose names contain AREA, in this process: make fast AREA=optim
	$(PYTHON) -m pytest -n 0 -k "$(or $(AREA),$(error AREA is a word in the names of the tests, such as optim or envs))"

slow: ## the slow tests (learning, endurance, 210 killed runs): about an hour
	$(PYTHON) -m pytest -m slow

lint: ## style, without changing a file
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .

format: ## apply the style
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

types: ## types, strict
	$(PYTHON) -m mypy

docs: ## the pages that are generated, and the site in site/, with every link checked
	$(PYTHON) scripts/config_reference.py
	NO_MKDOCS_2_WARNING=1 $(PYTHON) -m mkdocs build --strict

ci: ## all that must pass, on a bare machine: about a quarter of an hour
	.ci/run
