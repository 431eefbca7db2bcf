"""What a probe reports of a layer: a frozen record of numbers. It must not know torch."""

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.records import Counts, ZeroCauses


@dataclass(frozen=True, kw_only=True)
class WatchedLayer:
    """Why the activations of one layer were zero, over all passes that were watched.

    A layer is a call of an activation function together with the dropout on its output (or before
    it), or a dropout alone. A unit is a channel of a convolution and else a feature; every sample
    and spatial position is a pair of its own.

    Attributes:
        name: of the module that made the call, or of the function; the second layer of one name
            is `name#2`.
        source: the module whose rows made its units; empty where none with weights did.
        activation: the function, such as `relu`; None for a dropout alone.
        has_hard_zeros: whether the activation is 0 exactly where z <= 0. Without, no unit is ever
            inactive: it is active or dropped.
        drop_rate: p of the last pass that was watched.
        passes: how many were watched.
        causes: counts by unit.
        other_zeros: active pairs that were 0 all the same, by unit: no ReLU and no dropout of this
            layer made them (the input was 0, or a smooth activation was rounded to 0). Always 0
            where `has_hard_zeros`.
    """

    name: str
    source: str
    activation: str | None
    has_hard_zeros: bool
    drop_rate: float
    passes: int
    causes: ZeroCauses
    other_zeros: Counts


def table(layers: Mapping[str, WatchedLayer]) -> str:
    """The shares of all pairs, a line a layer, for a terminal."""
    width = max([5, *map(len, layers)])
    lines = [f"{'layer':{width}}  active  dropped  inactive  both    zero   units   passes"]
    for name, layer in layers.items():
        causes = layer.causes
        lines.append(
            f"{name:{width}}  {causes.share('active'):6.1%}  {causes.share('dropped'):7.1%}  "
            f"{causes.share('inactive'):8.1%}  {causes.share('both'):6.1%}  "
            f"{causes.zero_share:6.1%}  {len(causes.active):5}  {layer.passes:6}"
        )
    return "\n".join(lines)
