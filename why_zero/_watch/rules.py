"""How what is known of a call's arguments goes over to its result, one rule for each kind of call.

A rule reads the arguments before the call, which may overwrite them. What has no rule keeps the
units where the shape allows it, and explains no zeros: those are reported as unexplained wherever
they meet weights.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from why_zero._watch import calls
from why_zero._watch.calls import Call, is_number
from why_zero._watch.known import Known, Ledger
from why_zero._watch.units import Units

# Takes the result and gives what is known of it.
Rule = Callable[[Tensor], Known]


def rule_of(call: Call, ledger: Ledger, *, made_by: str) -> Rule | None:
    """What is known of the result of this call on these arguments; None for calls of no interest.

    Args:
        call: one that is neither an activation nor a dropout, and has no weights.
        ledger: what is known of its arguments.
        made_by: the call in words.
    """
    if call.name in calls.JOINS:
        return _joined(call, ledger, made_by)
    source = call.tensor
    if source is None:
        source = next(iter(call.tensors), None)
        if source is None:
            return lambda _: Known(made_by)
        return lambda result: _unexplained(ledger.get(source), made_by, result)
    known = ledger.get(source)
    other = call.get(1, "other", "exponent", "mask")
    if call.name in {"mul", "multiply"} and isinstance(other, Tensor) and not known.explains:
        source, other, known = other, source, ledger.get(other)
    if call.name in calls.RESHAPES:
        return lambda result: known.reshaped(result.shape)
    if call.name in calls.MOVES:
        return lambda result: known.moved(call, result.shape)
    if call.name in calls.SUMS:
        return _added(call, ledger, made_by)
    if not known.explains:
        if call.name in calls.REDUCTIONS:
            units = _reduced(call, known.units)
            return lambda _: known.new(made_by, units)
        return lambda result: _unexplained(known, made_by, result)
    if call.name in calls.POOLS or call.name in calls.REDUCTIONS:
        return _pooled(call, known)
    if call.name == "pad" or call.name == "constant_pad_nd":
        return _padded(call, known, source, made_by)
    if call.name == "setitem":
        return _assigned(call, known, source, made_by)
    if call.name in calls.KEEP_ZEROS:
        if isinstance(other, Tensor) and call.name in calls.PRODUCTS:
            return _multiplied(call, known, source, ledger.get(other), other, made_by)
        if other is None or is_number(other) or call.name == "nan_to_num":
            return _kept(call, known, source, made_by)
    return lambda result: _unexplained(known, made_by, result)


def _unexplained(known: Known, made_by: str, result: Tensor) -> Known:
    """The same units, if the shape allows it; nothing else."""
    units = known.units and known.units.carried(result.shape)
    return known.new(made_by, units)


def _pooled(call: Call, known: Known) -> Rule:
    """Windows, each of them zero where all in it is."""

    def rule(result: Tensor) -> Known:
        if call.name in calls.REDUCTIONS:
            units = _reduced(call, known.units)
        else:
            units = known.units and known.units.carried(result.shape)

        def any_of(flags: Tensor) -> Tensor:
            pooled = call.again(flags.to(torch.float32))
            return (pooled[0] if isinstance(pooled, tuple) else pooled) != 0

        closed = known.closed if isinstance(known.closed, bool) else ~any_of(~known.closed)
        without = None if known.without is None else call.again(known.without)
        return replace(
            known,
            units=units,
            layer=None,
            closed=closed,
            without=without[0] if isinstance(without, tuple) else without,
            kept=None if known.kept is None else any_of(known.kept),
        )

    return rule


def _reduced(call: Call, units: Units | None) -> Units | None:
    axes = call.get(1, "dim", "axis")
    if units is None or axes is None:
        return None
    keeps = bool(call.get(2, "keepdim", "keepdims", default=False))
    return units.reduced((axes,) if isinstance(axes, int) else tuple(axes), keepdim=keeps)


def _padded(call: Call, known: Known, source: Tensor, made_by: str) -> Rule:
    """A frame around: its zeros are nobody's."""
    pad, mode = call.get(1, "pad"), call.get(2, "mode", default="constant")
    mode = mode if isinstance(mode, str) else "constant"

    def framed(flags: Tensor) -> Tensor:
        return F.pad(flags.to(torch.float32), pad, mode=mode) != 0

    closed = known.closed_zeros(source)
    return lambda result: replace(
        known.new(made_by, known.units and known.units.carried(result.shape)),
        root=known.root,
        closed=closed if isinstance(closed, bool) else framed(closed),
        without=None if known.without is None else call.again(known.without),
        kept=None if known.kept is None else ~framed(~known.kept),
    )


def _assigned(call: Call, known: Known, source: Tensor, made_by: str) -> Rule:
    """An assignment by index: what it writes is nobody's."""
    index, value = call.get(1), call.get(2)
    closed = known.closed_zeros(source)
    closed = closed.clone() if isinstance(closed, Tensor) else closed
    without = None if known.without is None else known.without.clone()
    kept = None if known.kept is None else known.kept.clone()

    def rule(_: Tensor) -> Known:
        if isinstance(closed, Tensor):
            closed[index] = False
        if without is not None and kept is not None:
            without[index] = value
            kept[index] = True
        return replace(
            known, layer=None, made_by=made_by, closed=closed, without=without, kept=kept
        )

    return rule


def _kept(call: Call, known: Known, source: Tensor, made_by: str) -> Rule:
    """Arithmetic with a number that leaves every zero in its place."""
    closed = known.closed_zeros(source)
    without = None if known.without is None else call.again(known.without)
    return lambda _: replace(known, layer=None, made_by=made_by, closed=closed, without=without)


def _multiplied(  # noqa: PLR0913, PLR0917 both factors, each with what is known of it
    call: Call, known: Known, source: Tensor, other_known: Known, other: Tensor, made_by: str
) -> Rule:
    """A product of tensors: zero where either is. Division and masked_fill know no second."""
    is_product = call.name in {"mul", "multiply"}
    closed = known.closed_zeros(source)
    other_closed = other_known.closed_zeros(other) if is_product else False
    without, kept = known.without, known.kept
    if is_product and other_known.without is not None:
        without = known.undropped(source)
    if without is not None:
        factor = other_known.undropped(other) if is_product else other
        without = call.again(without, factor)
    if is_product and other_known.kept is not None:
        kept = other_known.kept if kept is None else kept & other_known.kept

    def rule(result: Tensor) -> Known:
        units = known.units and known.units.carried(result.shape)
        if units is None and is_product and other_known.units:
            units = other_known.units.carried(result.shape)
        zeros = closed if other_closed is False else closed | other_closed
        return replace(
            known.new(made_by, units),
            root=known.root,
            closed=zeros.expand(result.shape) if isinstance(zeros, Tensor) else zeros,
            without=without,
            kept=None if kept is None else kept.expand(result.shape),
        )

    return rule


def _added(call: Call, ledger: Ledger, made_by: str) -> Rule:
    """A sum of tensors: zero where both are. What dropout did to one summand is no mask of it."""
    a, b = call.get(0, "input", "self"), call.get(1, "other")
    known_a = ledger.get(a) if isinstance(a, Tensor) else Known(made_by)
    known_b = ledger.get(b) if isinstance(b, Tensor) else Known(made_by)
    closed: Tensor | bool = False
    without = kept = None
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        if known_a.kept is not None and known_b.kept is not None:
            without = call.again(known_a.undropped(a), known_b.undropped(b))
            kept = known_a.kept | known_b.kept
        if (known_a.kept is None) == (known_b.kept is None):
            closed = known_a.closed_zeros(a) & known_b.closed_zeros(b)

    def rule(result: Tensor) -> Known:
        units = known_a.units and known_a.units.carried(result.shape)
        if units is None and known_b.units:
            units = known_b.units.carried(result.shape)
        new = known_a.new(made_by, units) if isinstance(a, Tensor) else known_b.new(made_by, units)
        return replace(new, closed=closed, without=without, kept=kept)

    return rule


def _joined(call: Call, ledger: Ledger, made_by: str) -> Rule:
    """A concatenation: everybody's own."""
    tensors: list[Tensor] = list(call.get(0, "tensors"))
    all_known = [ledger.get(tensor) for tensor in tensors]
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
            guilty.made_by if guilty else made_by,
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
    if first.axes == (axis % result.dim(),):
        return Units.along(result, axis)
    return first.carried(result.shape)
