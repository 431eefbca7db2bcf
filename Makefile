# `make check` runs what CI runs, with the python that is on the path.
PYTHON ?= python

.PHONY: check lint types layers test project

check: lint types layers test

lint:
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .

types:
	$(PYTHON) -m mypy

layers:
	$(PYTHON) -c "from importlinter.cli import lint_imports_command as lint; lint()"

test:
	$(PYTHON) -m pytest

# Writes MLproject anew after a setting has changed.
project:
	$(PYTHON) -m pipeline.cli.mlproject
