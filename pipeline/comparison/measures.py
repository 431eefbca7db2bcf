"""What is compared of one network: numbers by name."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from pipeline.records import metrics
from pipeline.records.result import Result


def logged(result: Result) -> dict[str, float]:
    """The measures that have a name in MLflow, of the kept epoch.

    What training cost is that of the median epoch, and the most memory; NaN without training.
    """
    named = metrics(result.chosen, None, result.history[0])
    quality = {name: value for name, value in named.items() if not name.startswith("speed/")}
    return quality | {
        "speed/epoch_seconds": _of_epochs(result, "epoch_seconds", np.median),
        "speed/samples_per_second": _of_epochs(result, "samples_per_second", np.median),
        "speed/peak_memory_mb": _of_epochs(result, "peak_memory_mb", np.max),
    }


def numbers(result: Result) -> dict[str, float]:
    """Everything that is compared, as far as it was measured: what is logged, and more.

    - `val/error`, the share of validation images predicted wrong;
    - `zero_expected/<layer>`: s + p - s p, with s the share that ReLU closed in the same passes
      and p the drop rate;
    - `dormant_but_alive/<layer>`: dormant units that are not dead, which are dormant as well;
    - `hidden_zeros` and `hidden_dead`: of all hidden activations, and of all units with ReLU.
    """
    found = logged(result)
    found["val/error"] = 1 - found["val/accuracy"]
    hidden = []
    for layer in result.chosen.layers:
        if layer.causes.pairs:
            expected = layer.causes.expected_zero_share(result.recipe.drop_rate_of(layer.name))
            found[f"zero_expected/{layer.name}"] = expected
            if layer.name != "logits":
                hidden.append(layer.causes)
    if hidden:
        active = sum(int(causes.active.sum()) for causes in hidden)
        found["hidden_zeros"] = 1 - active / sum(causes.pairs for causes in hidden)
    for layer in result.chosen.layers:
        if layer.states is not None:
            alive = layer.states.dormant & ~layer.states.dead
            found[f"dormant_but_alive/{layer.name}"] = float(alive.mean())
    dead = [layer.states.dead for layer in result.chosen.layers if layer.states is not None]
    if dead:
        found["hidden_dead"] = float(np.concatenate(dead).mean())
    return found


def layer_names(results: Sequence[Result]) -> list[str]:
    """The layers that any of these networks has, h1 first and the logits last."""
    names = {layer.name for result in results for layer in result.chosen.layers}
    return sorted(names, key=lambda name: (name == "logits", len(name), name))


def _of_epochs(result: Result, name: str, summary: Callable[[list[float]], float]) -> float:
    values = [getattr(record, name) for record in result.history if getattr(record, name)]
    return float(summary(values)) if values else math.nan
