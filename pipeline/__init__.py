"""Why is this activation zero? Dropout, ReLU or a dead unit: trained, measured, tracked."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.probe import BrokenIdentity, WatchedLayer, ZeroProbe

__all__ = ["BrokenIdentity", "WatchedLayer", "ZeroProbe", "__version__"]

__version__ = "0.2.0"


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """A public name, imported when it is first asked for: `--help` must not wait for torch."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("pipeline.probe"), name)


def __dir__() -> list[str]:
    """The public names."""
    return sorted(__all__)
