"""Trains networks, tracked in MLflow, and explains why each activation is zero."""

import warnings
from typing import TYPE_CHECKING, Any

import why_zero

__all__ = ["__version__"]

__version__ = "0.3.0.dev0"


if TYPE_CHECKING:
    from why_zero import BrokenIdentity, WatchedLayer, ZeroProbe  # noqa: F401
else:

    def __getattr__(name: str) -> Any:  # noqa: ANN401
        """What version 0.2 had here, and `why_zero` has now; for one more version."""
        if name not in {"BrokenIdentity", "WatchedLayer", "ZeroProbe"}:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        warnings.warn(
            f"{name} has moved: write `from why_zero import {name}`; `from pipeline import {name}` "
            "goes away in version 0.4",
            DeprecationWarning,
            stacklevel=2,
        )
        return getattr(why_zero, name)
