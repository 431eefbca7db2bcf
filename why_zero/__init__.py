"""Why is this activation zero? Dropout, ReLU or a dead unit, counted in anybody's module."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from why_zero.causes import causes_of, count_causes
    from why_zero.errors import BrokenIdentity, WhyZeroError
    from why_zero.probe import ZeroProbe
    from why_zero.records import (
        CAUSES,
        DORMANT_TAU,
        ZERO_CAUSES,
        Cause,
        UnitStates,
        WatchedLayer,
        ZeroCauses,
    )
    from why_zero.states import StateCount

_HOMES = {
    "causes": ("causes_of", "count_causes"),
    "errors": ("BrokenIdentity", "WhyZeroError"),
    "probe": ("ZeroProbe",),
    "records": (
        "CAUSES",
        "DORMANT_TAU",
        "ZERO_CAUSES",
        "Cause",
        "UnitStates",
        "WatchedLayer",
        "ZeroCauses",
    ),
    "states": ("StateCount",),
}
_HOME = {name: f"why_zero.{home}" for home, names in _HOMES.items() for name in names}

__all__ = [
    "CAUSES",
    "DORMANT_TAU",
    "ZERO_CAUSES",
    "BrokenIdentity",
    "Cause",
    "StateCount",
    "UnitStates",
    "WatchedLayer",
    "WhyZeroError",
    "ZeroCauses",
    "ZeroProbe",
    "causes_of",
    "count_causes",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """A public name, imported when it is first asked for: records alone need no torch."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    """The public names."""
    return sorted(__all__)
