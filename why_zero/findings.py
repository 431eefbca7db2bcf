"""What a probe found over a block, an epoch or all ranks, and the same as plain numbers."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import Any

from why_zero.errors import WhyZeroError
from why_zero.records import SHARES, UnexplainedZeros, WatchedLayer


@dataclass(frozen=True, kw_only=True)
class Findings:
    """Why activations were zero, in a block, in one epoch of it or on all ranks together.

    Attributes:
        layers: what every layer did in training passes, by name, in order of call.
        evaluation_layers: likewise in evaluation passes.
        unexplained: zeros of training passes that no layer accounts for, most first.
        evaluation_unexplained: likewise of evaluation passes.
        notes: why some call cannot be explained, by name; of the whole block so far.
        set_aside: passes that held NaN or infinity and were not counted.
    """

    layers: Mapping[str, WatchedLayer]
    evaluation_layers: Mapping[str, WatchedLayer]
    unexplained: tuple[UnexplainedZeros, ...]
    evaluation_unexplained: tuple[UnexplainedZeros, ...]
    notes: Mapping[str, str]
    set_aside: int

    def scalars(self, prefix: str = "why_zero/") -> dict[str, float]:
        """Shares by name, such as `why_zero/dropped/relu`, as a tracker logs them.

        `zero`, `dropped`, `inactive`, `both` and `unexplained` are shares of pairs, `silent` is one
        of units. Evaluation passes give `why_zero/evaluation/zero/relu` and `silent`. A name holds
        letters, digits and `_-./` only, which MLflow and TensorBoard take as they stand: the layer
        `relu#2` is `relu-2` here. Empty where nothing was seen.
        """
        return dict(
            [
                *_scalars(self.layers, prefix, with_causes=True),
                *_scalars(self.evaluation_layers, f"{prefix}evaluation/", with_causes=False),
            ]
        )

    def to_dict(self) -> dict[str, Any]:
        """Everything but the counts of single units, in types that JSON has."""
        return {
            "layers": {name: _plain(layer) for name, layer in self.layers.items()},
            "evaluation_layers": {
                name: _plain(layer) for name, layer in self.evaluation_layers.items()
            },
            "unexplained": [asdict(left) for left in self.unexplained],
            "evaluation_unexplained": [asdict(left) for left in self.evaluation_unexplained],
            "notes": dict(self.notes),
            "set_aside": self.set_aside,
        }

    def to_pandas(self) -> Any:  # noqa: ANN401 a DataFrame, for those who have pandas
        """A `pandas.DataFrame` with a row for each layer in each mode, training first.

        Raises:
            WhyZeroError: pandas is not installed.
        """
        try:
            pandas = import_module("pandas")
        except ModuleNotFoundError as error:
            raise WhyZeroError(
                "to_pandas must be able to import pandas, got none: pip install pandas"
            ) from error
        modes = {"training": self.layers, "evaluation": self.evaluation_layers}
        rows = [_row(mode, layer) for mode, layers in modes.items() for layer in layers.values()]
        return pandas.DataFrame(rows, columns=_COLUMNS)


_COLUMNS = (
    *("mode", "layer", "source", "activation", "drop_rate", "units", "passes", "pairs"),
    *("zero", *SHARES, "silent"),
)


def _row(mode: str, layer: WatchedLayer) -> dict[str, Any]:
    """One row of the data frame: shares of pairs, and the number of silent units."""
    return {
        "mode": mode,
        "layer": layer.name,
        "source": layer.source,
        "activation": layer.activation,
        "drop_rate": layer.drop_rate,
        "units": len(layer.unit_ids),
        "passes": layer.passes,
        "pairs": layer.causes.pairs,
        "zero": layer.causes.zero_share,
        **{cause: layer.causes.share(cause) for cause in SHARES},
        "silent": int(layer.silent.sum()),
    }


def _plain(layer: WatchedLayer) -> dict[str, Any]:
    causes = layer.causes
    shares = {cause: causes.share(cause) for cause in SHARES} | {"zero": causes.zero_share}
    return {
        "source": layer.source,
        "activation": layer.activation,
        "has_hard_zeros": layer.has_hard_zeros,
        "drop_rate": layer.drop_rate,
        "unit_axes": list(layer.unit_axes),
        "axis_is_guess": layer.axis_is_guess,
        "units": len(layer.unit_ids),
        "passes": layer.passes,
        "counts": {cause: int(getattr(causes, cause).sum()) for cause in SHARES},
        # JSON has no NaN.
        "shares": {name: None if math.isnan(share) else share for name, share in shares.items()},
        "silent": layer.unit_ids[layer.silent].tolist(),
    }


def _scalars(
    layers: Mapping[str, WatchedLayer], prefix: str, *, with_causes: bool
) -> Iterator[tuple[str, float]]:
    taken: set[str] = set()
    for name, layer in layers.items():
        if not layer.causes.pairs:
            continue
        safe = re.sub(r"[^A-Za-z0-9_.-]", "-", name)
        while safe in taken:
            safe += "-"
        taken.add(safe)
        yield f"{prefix}zero/{safe}", layer.causes.zero_share
        for cause in SHARES[1:] if with_causes else ():
            yield f"{prefix}{cause}/{safe}", layer.causes.share(cause)
        if layer.has_hard_zeros:
            yield f"{prefix}silent/{safe}", float(layer.silent.mean())
