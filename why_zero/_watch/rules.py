"""How what is known of a call's arguments goes over to its result, one rule for each kind of call.

A rule reads the arguments before the call, which may overwrite them. What has no rule keeps the
units where the shape allows it, and explains no zeros: those are reported as unexplained wherever
they meet weights.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from why_zero._watch import calls
from why_zero._watch.calls import Call
from why_zero._watch.known import Known, Ledger
from why_zero._watch.units import Units

_COMMUTES = {"mul", "multiply", "add"}
# Takes the result and gives what is known of it.
Rule = Callable[[Tensor], Known]


@dataclass(frozen=True)
class Step:
    """One call as a rule sees it.

    Attributes:
        call: neither an activation nor a dropout.
        ledger: what is known of its arguments.
        made_by: the call in words.
        source: the argument that most is known of, the first as a rule.
        known: what is known of it.
        other: the second argument of a product or a sum.
    """

    call: Call
    ledger: Ledger
    made_by: str
    source: Tensor
    known: Known
    other: Any


def rule_of(call: Call, ledger: Ledger, *, made_by: str) -> Rule:
    """What is known of the result of this call, which has no weights, on these arguments."""
    tensors = call.tensors
    if not tensors:
        return lambda _: Known(made_by)
    source, other = call.tensor, call.get(1, "other", "exponent", "mask")
    source = tensors[0] if source is None else source
    known = ledger.get(source)
    if isinstance(other, Tensor) and _says_more(ledger.get(other), known):
        if call.name not in _COMMUTES:
            return _unexplained(Step(call, ledger, made_by, other, ledger.get(other), source))
        source, other, known = other, source, ledger.get(other)
    step = Step(call, ledger, made_by, source, known, other)
    return _RULES.get(call.name, _unexplained)(step)


def _says_more(second: Known, first: Known) -> bool:
    """Whether it is the second argument by which a result is to be known."""
    is_only = first.is_weights and not second.is_weights
    return is_only or (second.explains and not first.explains)


def _unexplained(step: Step) -> Rule:
    """The same units, if the shape allows it; nothing else."""
    units = step.known.units if step.call.name not in calls.MIXES else None
    return lambda result: step.known.new(step.made_by, units and units.carried(result.shape))


def _reshaped(step: Step) -> Rule:
    return step.known.reshaped


def _moved(step: Step) -> Rule:
    return lambda result: step.known.moved(step.call, result.shape)


def _pooled(step: Step) -> Rule:
    """Windows, each of them zero where all in it is."""
    call, known = step.call, step.known

    def any_of(flags: Tensor) -> Tensor:
        return _first(call.again(flags.to(torch.float32))) != 0

    def rule(result: Tensor) -> Known:
        if call.name in calls.REDUCTIONS:
            units = _reduced(call, known.units)
        else:
            units = known.units and known.units.carried(result.shape)
        if not known.explains:
            return known.new(step.made_by, units)
        return replace(
            known,
            units=units,
            layer=None,
            closed=known.closed if isinstance(known.closed, bool) else ~any_of(~known.closed),
            without=None if known.without is None else _first(call.again(known.without)),
            kept=None if known.kept is None else any_of(known.kept),
        )

    return rule


def _first(results: Any) -> Tensor:  # noqa: ANN401
    """The values, where their places come with them."""
    values: Tensor = results[0] if isinstance(results, tuple) else results
    return values


def _reduced(call: Call, units: Units | None) -> Units | None:
    axes = call.get(1, "dim", "axis")
    if units is None or axes is None:
        return None
    keeps = bool(call.get(2, "keepdim", "keepdims", default=False))
    return units.reduced((axes,) if isinstance(axes, int) else tuple(axes), keepdim=keeps)


def _padded(step: Step) -> Rule:
    """A frame around: its zeros are nobody's."""
    call, known = step.call, step.known
    pad, mode = call.get(1, "pad"), call.get(2, "mode", default="constant")
    mode = mode if isinstance(mode, str) else "constant"
    closed = known.closed_zeros(step.source)

    def framed(flags: Tensor) -> Tensor:
        return F.pad(flags.to(torch.float32), pad, mode=mode) != 0

    return lambda result: replace(
        known.new(step.made_by, known.units and known.units.carried(result.shape)),
        root=known.root,
        closed=closed if isinstance(closed, bool) else framed(closed),
        without=None if known.without is None else call.again(known.without),
        kept=None if known.kept is None else ~framed(~known.kept),
    )


def _assigned(step: Step) -> Rule:
    """An assignment by index: what it writes is nobody's."""
    known, index, value = step.known, step.call.get(1), step.call.get(2)
    closed = known.closed_zeros(step.source)
    closed = closed.clone() if isinstance(closed, Tensor) else closed
    without = None if known.without is None else known.without.clone()
    kept = None if known.kept is None else known.kept.clone()

    def rule(_: Tensor) -> Known:
        if isinstance(closed, Tensor):
            closed[index] = False
        if without is not None and kept is not None:
            without[index] = value
            kept[index] = True
        found = replace(known, layer=None, made_by=step.made_by)
        return replace(found, closed=closed, without=without, kept=kept)

    return rule


def _zeros_kept(step: Step) -> Rule:
    """Arithmetic that leaves every zero of its first argument in its place."""
    if not step.known.explains:
        return _unexplained(step)
    if isinstance(step.other, Tensor):
        return _multiplied(step) if step.call.name in calls.PRODUCTS else _unexplained(step)
    known = step.known
    closed = known.closed_zeros(step.source)
    without = None if known.without is None else step.call.again(known.without)
    return lambda _: replace(
        known, layer=None, made_by=step.made_by, closed=closed, without=without
    )


def _multiplied(step: Step) -> Rule:
    """A product of tensors: zero where either is. Of a divisor or a mask nothing is known."""
    known, other = step.known, step.other
    is_product = step.call.name in {"mul", "multiply"}
    other_known = step.ledger.get(other) if is_product else Known(step.made_by)
    closed, other_closed = known.closed_zeros(step.source), other_known.closed_zeros(other)
    without, kept = known.without, known.kept
    if other_known.kept is not None:
        without = known.undropped(step.source)
        kept = other_known.kept if kept is None else kept & other_known.kept
    if without is not None:
        without = step.call.again(without, other_known.undropped(other))

    def rule(result: Tensor) -> Known:
        units = known.units and known.units.carried(result.shape)
        if units is None and other_known.units:
            units = other_known.units.carried(result.shape)
        zeros = closed if other_closed is False else closed | other_closed
        return replace(
            known.new(step.made_by, units),
            root=known.root,
            closed=zeros.expand(result.shape) if isinstance(zeros, Tensor) else zeros,
            without=without,
            kept=None if kept is None else kept.expand(result.shape),
        )

    return rule


def _added(step: Step) -> Rule:
    """A sum of tensors: zero where both are. What dropout did to one summand is no mask of it."""
    known, other = step.known, step.other
    if not isinstance(other, Tensor):
        return _unexplained(step)
    other_known = step.ledger.get(other)
    closed: Tensor | bool = False
    without = kept = None
    if known.kept is not None and other_known.kept is not None:
        without = step.call.again(known.undropped(step.source), other_known.undropped(other))
        kept = known.kept | other_known.kept
    if not (known.explains and other_known.explains):
        pass  # the zeros of one alone are no zeros of the sum
    elif (known.kept is None) == (other_known.kept is None):
        closed = known.closed_zeros(step.source) & other_known.closed_zeros(other)
    else:
        closed = _explained(known, step.source) & _explained(other_known, other)

    def rule(result: Tensor) -> Known:
        units = known.units and known.units.carried(result.shape)
        if units is None and other_known.units:
            units = other_known.units.carried(result.shape)
        new = known.new(step.made_by, units)
        return replace(new, closed=closed, without=without, kept=kept)

    return rule


def _explained(known: Known, values: Tensor) -> Tensor:
    zeros = known.explained_zeros(values)
    return zeros if isinstance(zeros, Tensor) else (values == 0) & zeros


def _joined(step: Step) -> Rule:
    """A concatenation: everybody's own."""
    call = step.call
    tensors: list[Tensor] = list(call.get(0, "tensors"))
    all_known = [step.ledger.get(tensor) for tensor in tensors]
    closed = [known.closed for known in all_known]
    flags: Any = closed[0] if all(flag is closed[0] for flag in closed) else None
    if not isinstance(flags, bool):
        flags = [known.closed_zeros(t) for known, t in zip(all_known, tensors, strict=True)]
        flags = [
            zeros if isinstance(zeros, Tensor) else torch.full_like(t, zeros, dtype=torch.bool)
            for zeros, t in zip(flags, tensors, strict=True)
        ]
    without = kept = None
    if any(known.kept is not None for known in all_known):
        pairs = list(zip(all_known, tensors, strict=True))
        without = [known.undropped(t) for known, t in pairs]
        kept = [
            torch.ones_like(t, dtype=torch.bool) if known.kept is None else known.kept
            for known, t in pairs
        ]

    def rule(result: Tensor) -> Known:
        guilty = next((known for known in all_known if not known.explains), None)
        return Known(
            guilty.made_by if guilty else step.made_by,
            _joined_units(call, all_known, result),
            closed=flags if isinstance(flags, bool) else call.again(flags),
            without=None if without is None else call.again(without),
            kept=None if kept is None else call.again(kept),
            is_weights=all(known.is_weights for known in all_known),
        )

    return rule


def _joined_units(call: Call, all_known: list[Known], result: Tensor) -> Units | None:
    units = [known.units for known in all_known]
    first = units[0]
    if first is None or None in units:
        return None
    axis = call.get(1, "dim", "axis", default=0)
    if call.name not in {"cat", "concat", "concatenate"}:
        return None
    axis %= result.dim()
    is_single = not first.axes and first.ids.stride(axis) != 0  # a single unit, along this axis
    if first.axes == (axis,) or is_single:
        return Units.along(result, axis)
    return first.carried(result.shape)


_RULES: dict[str, Callable[[Step], Rule]] = {
    **dict.fromkeys(calls.RESHAPES, _reshaped),
    **dict.fromkeys(calls.MOVES, _moved),
    **dict.fromkeys(calls.JOINS, _joined),
    **dict.fromkeys(calls.POOLS | calls.REDUCTIONS, _pooled),
    **dict.fromkeys(calls.KEEP_ZEROS, _zeros_kept),
    **dict.fromkeys(calls.SUMS, _added),
    **dict.fromkeys(calls.PADS, _padded),
    "setitem": _assigned,
}
