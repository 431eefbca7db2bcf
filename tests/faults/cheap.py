"""What trials leave out because it is dear: nothing of it writes to a run or a store."""

import gc
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from pipeline import plots
from pipeline.bundle import convert
from pipeline.comparison import publish
from pipeline.plots import RenderPool
from pipeline.records import History
from pipeline.registry import gates
from pipeline.tracking import SavedModels


def make_cheap() -> None:
    """For this process and its copies: no picture is drawn, and what others answer is remembered.

    The others are torch's exporters and the Python in which a model is loaded before it is
    registered.
    """
    torch.set_num_threads(1)
    gc.get_freeze_count = lambda: 1  # all that was warmed is frozen, and counting it takes long
    drawn = io.BytesIO()
    Image.fromarray(np.zeros((2, 2), np.uint8)).save(drawn, "PNG")
    png = drawn.getvalue()
    for module in (publish, plots):
        vars(module)["to_png"] = lambda _figure: png
    _replace(RenderPool, "png", lambda *_, **__: lambda: png)
    _replace(RenderPool, "submit", lambda _self, _draw, history: lambda: _film(history))
    graphs: dict[str, Any] = {}
    _replace(SavedModels, "__init__", lambda self: vars(self).update(_known=graphs))
    _remember(gates, "ask", lambda candidate, **_: _bytes_of(candidate.rebuilt))
    _remember(convert, "_converted", lambda network, _: _bytes_of(network))


def _replace(owner: Any, name: str, new: Any) -> None:  # noqa: ANN401
    setattr(owner, name, new)


def _remember(owner: Any, name: str, key: Callable[..., bytes]) -> None:  # noqa: ANN401
    """Have a function called once for everything that has the same key."""
    original, known = getattr(owner, name), {}

    def remembered(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        which = key(*args, **kwargs)
        if which not in known:
            known[which] = original(*args, **kwargs)
        return known[which]

    setattr(owner, name, remembered)


def _bytes_of(network: torch.nn.Module) -> bytes:
    return b"".join(value.numpy().tobytes() for value in network.state_dict().values())


def _film(history: History) -> list[NDArray[np.uint8]]:
    has_states = any(layer.states is not None for layer in history[0].layers)
    return [np.zeros((2, 2, 3), np.uint8)] * len(history) if has_states else []
