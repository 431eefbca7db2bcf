"""Times several functions in turn, so that a machine that drifts drifts for all of them."""

import gc
import statistics
import time
from collections.abc import Callable, Mapping


def medians(
    functions: Mapping[str, Callable[[], object]], *, rounds: int, warm_up: int
) -> dict[str, float]:
    """Median seconds of each function over `rounds` turns, after some that do not count."""
    taken: dict[str, list[float]] = {name: [] for name in functions}
    for turn in range(warm_up + rounds):
        for name, function in functions.items():
            gc.collect()
            seconds = seconds_of(function)
            if turn >= warm_up:
                taken[name].append(seconds)
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def seconds_of(function: Callable[[], object]) -> float:
    """Wall time of one call."""
    started = time.perf_counter()
    function()
    return time.perf_counter() - started
