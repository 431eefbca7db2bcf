"""The same network without its dead units, and the proof that it is the same."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from why_zero._compact.flow import Calls, Route, Unremovable
from why_zero._compact.passes import Batches, compared, multiplications
from why_zero._compact.removal import KeptUnits, removable, remove
from why_zero._compact.witness import Witness
from why_zero._passes import copied, evaluating
from why_zero.errors import WhyZeroError
from why_zero.records import UnitStates, unit_ids_of

__all__ = ["Compacted", "KeptUnits", "compact", "dead_units"]


@dataclass(frozen=True, kw_only=True)
class Compacted:
    """A network without its dead units.

    Attributes:
        module: the smaller network; its training flags are those of the original.
        removed: the units that are gone, by the path of the module whose rows made them.
        kept: the dead units that are still there, and why.
        parameters_before: numbers in all parameters of the original.
        parameters_after: likewise of the smaller network.
        multiplications_before: multiply-adds of the original's linear layers and convolutions for
            one sample.
        multiplications_after: likewise of the smaller network.
        largest_difference: of any output over the reference set, in evaluation mode.
        tolerance: that it does not exceed: 8 sqrt(n) roundings of the largest value that goes into
            or comes out of what was changed, n the most terms of a sum there.
        held_out_difference: of any output over the held-out set; None without one. A unit that is
            dead over the reference set may fire here.
        held_out_changed: the share of its samples whose largest output is another one; None without
            a held-out set or where the output is no matrix.
    """

    module: nn.Module = field(repr=False)
    removed: Mapping[str, tuple[int, ...]]
    kept: tuple[KeptUnits, ...]
    parameters_before: int
    parameters_after: int
    multiplications_before: int
    multiplications_after: int
    largest_difference: float
    tolerance: float
    held_out_difference: float | None
    held_out_changed: float | None


def dead_units(states: Mapping[str, UnitStates]) -> dict[str, list[int]]:
    """The dead units that a census has found, by the path of the module whose rows make them.

    A unit that is met in several layers is dead where it is so in each. Layers without a ReLU, and
    those whose module the census does not know, are left out.
    """
    dead: dict[str, dict[int, bool]] = {}
    for state in states.values():
        if not state.source or state.near_zero:
            continue
        units = dead.setdefault(state.source, {})
        for unit, is_dead in zip(unit_ids_of(state), state.dead.tolist(), strict=True):
            units[unit] = units.get(unit, True) and is_dead
    return {
        source: [unit for unit, is_dead in sorted(units.items()) if is_dead]
        for source, units in dead.items()
    }


def compact(
    model: nn.Module,
    dead: Mapping[str, Sequence[int] | NDArray[Any] | Tensor],
    reference: Tensor | Iterable[Any],
    *,
    held_out: Tensor | Iterable[Any] | None = None,
) -> Compacted:
    """A copy of a network without its dead units, which gives the same outputs.

    A unit goes where a ReLU makes it exactly 0 and each way from there leads, one unit beside the
    other, to linear layers or convolutions: its row goes, its entries in batch norms, and its
    columns in what reads it. If a batch norm behind the ReLU makes a constant of its 0, that goes
    into the reader's bias. Whatever else it meets (a sum, a concatenation, grouped convolutions,
    shared weights) keeps it, and the result says why. A layer keeps at least one unit.

    All passes are made on copies, in evaluation mode; the original is left as it is.

    Args:
        model: torch.fx must be able to trace it.
        dead: which units are dead over the reference set, as indices or a claim for each unit, by
            the path of the linear layer or convolution whose rows make them; see `dead_units`.
        reference: the set over which they are dead, a tensor or batches: tensors, or tuples that
            begin with one, moved to the model's device.
        held_out: other samples, on which the difference is measured and not checked.

    Raises:
        WhyZeroError: there is no such module or unit, one fires on the reference set, the model
            cannot be copied or traced, or the outputs differ by more than rounding.
    """
    original, smaller = copied(model), copied(model)
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    batches = Batches("reference", reference, device)
    units = {path: _indices(model, path, claims) for path, claims in dead.items()}
    with torch.no_grad(), evaluating(original, smaller):
        sample = next(iter(batches))[:2]
        calls = Calls(original, sample)
        kept: list[KeptUnits] = []
        routes = _routes(calls, units, kept)
        witness = Witness(calls, routes, units)
        for inputs in batches:
            witness.run(inputs)
        removed = {
            route.path: found
            for route in routes
            if (found := removable(route, units[route.path], witness, kept))
        }
        remove(smaller, removed, routes, units, witness)
        on_reference = compared(original, smaller, batches)
        if not on_reference.largest <= witness.tolerance:  # nor where it is NaN
            raise WhyZeroError(
                "a compacted network must give the original's outputs on the reference set within "
                f"{witness.tolerance:.3g}, got a difference of {on_reference.largest:.3g}: give a "
                "network whose outputs are finite and depend on its inputs alone"
            )
        elsewhere = None
        if held_out is not None:
            elsewhere = compared(original, smaller, Batches("held_out", held_out, device))
        before, after = (multiplications(each, sample[:1]) for each in (original, smaller))
    return Compacted(
        module=smaller,
        removed=removed,
        kept=tuple(kept),
        parameters_before=sum(parameter.numel() for parameter in original.parameters()),
        parameters_after=sum(parameter.numel() for parameter in smaller.parameters()),
        multiplications_before=before,
        multiplications_after=after,
        largest_difference=on_reference.largest,
        tolerance=witness.tolerance,
        held_out_difference=elsewhere.largest if elsewhere else None,
        held_out_changed=elsewhere.changed if elsewhere else None,
    )


def _indices(
    model: nn.Module, path: str, claims: Sequence[int] | NDArray[Any] | Tensor
) -> list[int]:
    """The dead units of one layer, each once, in order.

    Raises:
        WhyZeroError: there is no such layer, or it has no such units.
    """
    layer = dict(model.named_modules(remove_duplicate=False)).get(path)
    if layer is None:
        raise WhyZeroError(
            f"dead must name modules of the model, got {path!r}: take a path from named_modules()"
        )
    found = np.asarray(claims.cpu() if isinstance(claims, Tensor) else claims)
    weight = getattr(layer, "weight", None)
    count = len(weight) if isinstance(weight, Tensor) and weight.ndim else None
    if found.dtype == bool and (count is None or found.shape == (count,)):
        return np.flatnonzero(found).tolist()
    is_index = found.ndim == 1 and (found.dtype.kind in "iu" or not found.size)
    if is_index and (not found.size or (found.min() >= 0 and (not count or found.max() < count))):
        return sorted({int(unit) for unit in found})
    raise WhyZeroError(
        f"dead units of {path!r} must be indices of its {count} units, or a claim for each, "
        f"got {claims!r:.80}: take them from a census of this model"
    )


def _routes(calls: Calls, units: Mapping[str, Sequence[int]], kept: list[KeptUnits]) -> list[Route]:
    """The ways of all layers with dead units that can be followed; `kept` takes the others."""
    routes = []
    for path, dead in units.items():
        if not dead:
            continue
        try:
            routes.append(calls.route(path))
        except Unremovable as reason:
            kept.append(KeptUnits(layer=path, units=tuple(dead), reason=str(reason)))
    return routes
