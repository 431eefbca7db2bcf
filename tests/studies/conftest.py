"""Evidence made by hand."""

from collections.abc import Callable
from typing import Any

import pytest

from pipeline.config.options import Scale
from pipeline.records.result import Result
from pipeline.studies import Evidence


def _none(_: object) -> Any:  # noqa: ANN401 - never called
    raise AssertionError


@pytest.fixture
def evidence() -> Callable[..., Evidence]:
    """Networks alone: without weights and data, which a study then does not ask for."""

    def make(*results: Result, scale: Scale = "quick") -> Evidence:
        return Evidence(scale=scale, results=results, weights=_none, data=_none)

    return make
