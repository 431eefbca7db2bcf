# `make check` runs what CI runs, with the python that is on the path.
PYTHON ?= python

.PHONY: check lint types layers docs test quick project pictures studies

check: lint types layers docs test

lint:
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .

types:
	$(PYTHON) -m mypy

layers:
	$(PYTHON) -c "from importlinter.cli import lint_imports_command as lint; lint()"

# The site, in site/: every page, link and anchor, and the reference from the docstrings.
docs:
	$(PYTHON) -m mkdocs build --strict --quiet

test:
	$(PYTHON) -m pytest

# All tests but those with a browser, a server, killed processes or whole steps.
quick:
	$(PYTHON) -m pytest -m "not (browser or server or kill or slow)"

# Writes MLproject anew after a setting has changed.
project:
	$(PYTHON) -m pipeline.cli.mlproject

# Draws the pictures of README and docs anew, from the newest sweep of the store.
pictures:
	$(PYTHON) -m benchmarks.pictures

# Puts the newest table of all studies of the store into docs/studies.md.
studies:
	$(PYTHON) -m benchmarks.studies
