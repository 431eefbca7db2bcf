"""Why is this activation zero? Dropout, ReLU or a dead unit, counted in anybody's module."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from why_zero._census import census
    from why_zero._changes import UnitChanges, changes
    from why_zero._compact import Compacted, KeptUnits, compact, dead_units
    from why_zero._explain import Advice, Explanation, Owner, Part, explain
    from why_zero.causes import causes_of, count_causes
    from why_zero.errors import BrokenIdentity, WhyZeroError
    from why_zero.findings import Findings
    from why_zero.probe import ZeroProbe
    from why_zero.records import (
        CAUSES,
        DORMANT_TAU,
        ZERO_CAUSES,
        Cause,
        UnexplainedZeros,
        UnitStates,
        WatchedLayer,
        ZeroCauses,
    )
    from why_zero.states import StateCount

__all__ = [
    "CAUSES",
    "DORMANT_TAU",
    "ZERO_CAUSES",
    "Advice",
    "BrokenIdentity",
    "Cause",
    "Compacted",
    "Explanation",
    "Findings",
    "KeptUnits",
    "Owner",
    "Part",
    "StateCount",
    "UnexplainedZeros",
    "UnitChanges",
    "UnitStates",
    "WatchedLayer",
    "WhyZeroError",
    "ZeroCauses",
    "ZeroProbe",
    "causes_of",
    "census",
    "changes",
    "compact",
    "count_causes",
    "dead_units",
    "explain",
]

# Those without torch first: a name is looked for in one after another.
_MODULES = (
    "errors",
    "records",
    "findings",
    "_changes",
    "causes",
    "states",
    "_census",
    "_compact",
    "probe",
    "_explain",
)

if not TYPE_CHECKING:  # to a type checker a misspelt name is an error

    def __getattr__(name: str) -> Any:  # noqa: ANN401
        """A public name, imported when it is first asked for: records alone need no torch."""
        for module in _MODULES if name in __all__ else ():
            found = getattr(import_module(f"{__name__}.{module}"), name, None)
            if found is not None:
                return found
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        """The public names."""
        return sorted(__all__)
