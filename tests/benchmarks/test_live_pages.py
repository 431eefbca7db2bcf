"""The documentation's live pages are what today's scripts make of the runs that they hold."""

import pytest

pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install .[test]")

from benchmarks.pictures import renewed


def test_the_live_pages_are_those_of_todays_scripts() -> None:
    for path, text in renewed().items():
        assert path.read_text("utf-8") == text, f"{path.name} is stale: run `make live`"
