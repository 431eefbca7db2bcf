"""The layers of one pass, counted as its calls happen, and the zeros that nobody explains."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from why_zero._watch.backward import scale_of
from why_zero._watch.calls import CARRIES, ActivationCall, Call, DropoutCall
from why_zero._watch.known import Known, Ledger
from why_zero._watch.layer_counts import Key, LayerCounts, Names, Trials, on_host
from why_zero._watch.units import Units
from why_zero.causes import by_cause
from why_zero.errors import BrokenIdentity
from why_zero.identities import survivors_that_differ

Finish = Callable[[Tensor], LayerCounts]
FinishDropout = Callable[[Tensor, Tensor], LayerCounts]


@dataclass(frozen=True)
class Check:
    """Two counts of one thing that must be equal."""

    layer: LayerCounts
    identity: int
    of: str
    expected: Tensor
    observed: Tensor


@dataclass(frozen=True)
class Remainder:
    """Zeros of a tensor that no layer explains.

    Attributes:
        made_by: the call that they are put down to.
        seen_at: where they meet weights or leave the module.
        zeros: how many of the tensor's elements are 0.
        explained: how many of these are explained, or stand in a layer's own row.
        values: how many elements there are.
    """

    made_by: str
    seen_at: str
    zeros: Tensor
    explained: Tensor
    values: int


class PassCounts:
    """Counts of one pass, by layer in order of call.

    Nothing is read from a device before the pass is over.
    """

    def __init__(
        self,
        names: Names,
        *,
        unit_axis: int | Mapping[str, int] | None = None,
        is_checked: bool = True,
    ) -> None:
        """Be ready for one pass.

        Args:
            names: of the layers.
            unit_axis: the axis of the units, as the user says.
            is_checked: whether identities are tested that take a look at every value.
        """
        self.layers: list[LayerCounts] = []
        self.notes: dict[str, str] = {}
        self.checks: list[Check] = []
        self.remainders: list[Remainder] = []
        self.ledger = Ledger()
        self.is_checked = is_checked
        self._names = names
        self._unit_axis = unit_axis
        self._turns: Counter[tuple[str, str]] = Counter()

    def activation(self, call: Call, which: ActivationCall, *, name: str, made_by: str) -> Finish:
        """Count an activation that is about to happen; what comes back takes its result."""
        known = self.ledger.get(which.z)
        is_closed = which.z <= 0 if which.is_relu else None
        without = None if known.without is None else call.again(known.without)

        def finish(result: Tensor) -> LayerCounts:
            dropout = known.layer
            if dropout and dropout.has_relu and which.is_relu and known.kept is not None:
                # A ReLU stands before the dropout too: this one makes no zero of its own.
                self.ledger.set(result, replace(known, made_by=made_by, without=without))
                return dropout
            units = self._units(known, which.z, name)
            is_zero = result == 0
            flags = _causes_after(known, without, is_zero if is_closed is None else is_closed)
            if is_closed is None and 2 in flags:
                flags[4] = flags.pop(2)
            layer = self._new(name, units, result, is_zero, _counted(units, flags))
            layer.activation, layer.has_relu = which.name, which.is_relu
            is_pure = dropout in self.layers and known.closed is False
            if dropout and is_pure and dropout.activation is None and which.is_relu:
                # Identity 5: the order does not matter, so the two are one layer.
                self.layers.remove(dropout)
                layer.drop_rate, layer.trials = dropout.drop_rate, dropout.trials
                self.checks = [
                    replace(check, layer=layer) if check.layer is dropout else check
                    for check in self.checks
                ]
                _close(layer)
            elif known.root is not None:
                known.root.uses += 1
            new = Known(made_by, closed=which.is_relu, without=without, kept=known.kept)
            self._set(result, layer, new)
            return layer

        return finish

    def dropout(self, call: Call, which: DropoutCall, *, name: str, made_by: str) -> FinishDropout:
        """Count a dropout that is about to happen; what comes back takes its result and mask."""
        known = self.ledger.get(which.x)
        h = which.x.detach().clone() if call.is_inplace else which.x.detach()

        def finish(y: Tensor, keep: Tensor) -> LayerCounts:
            units = self._units(known, which.x, name)
            kept = keep if known.kept is None else keep & known.kept
            is_open, is_zero = h != 0, y == 0
            if known.kept is None and isinstance(known.closed, bool):
                counts = _crossed(units, is_open, keep, is_closed=known.closed)
            else:
                after = replace(known, kept=kept, without=known.undropped(h))
                flags = _causes_after(after, after.without, ~(is_open & keep))
                counts = _counted(units, _explained_by(known, flags))
            layer = known.layer
            if layer is None or layer.activation is None or layer.trials is not None:
                layer = self._new(name, units, y, is_zero, counts)
                layer.has_relu = known.closed is True
                if known.root is not None:
                    known.root.uses += 1
            else:
                was, now = layer.counts[0].sum(), counts[:2].sum()
                self.checks.append(Check(layer, 1, "open pairs at the dropout", was, now))
                layer.units, layer.counts, layer.zeros = units, counts, is_zero.sum()
            if self.is_checked:
                differ = survivors_that_differ(h, y, keep=keep, scale=scale_of(which.drop_rate))
                none = torch.zeros_like(differ)
                self.checks.append(Check(layer, 4, "wrong survivors", none, differ))
            layer.drop_rate = which.drop_rate
            layer.trials = _trials(which, is_open, keep, layer=layer, is_first=known.kept is None)
            new = replace(known, made_by=made_by, without=known.undropped(h), kept=kept)
            self._set(y, layer, new)
            return layer

        return finish

    def idle_dropout(self, x: Tensor, known: Known, name: str) -> LayerCounts:
        """A dropout that drops nothing and that no activation stands before: a layer of its own."""
        is_zero = x == 0
        flags = _explained_by(known, _causes_after(known, known.without, is_zero))
        units = self._units(known, x, name)
        layer = self._new(name, units, x, is_zero, _counted(units, flags))
        layer.has_relu = known.closed is True
        self.ledger.set(x, replace(known, layer=layer, root=known.root or layer))
        return layer

    def heads(self, y: Tensor, name: str) -> LayerCounts:
        """What attention heads write, (batch, heads, length, size): their layer in a census."""
        is_zero = y == 0
        units = Units.along(y, 1)
        layer = self._new(name, units, y, is_zero, _counted(units, {4: is_zero}))
        layer.activation = "attention"
        return layer

    def soft_module(
        self, first: int, output: Tensor, *, name: str, activation: str
    ) -> LayerCounts | None:
        """Take the activations since the `first` for parts of one, whose output this is.

        So tanh inside the arithmetic of a GELU is not taken for an activation of its own.
        """
        known = self.ledger.get(output)
        inside = [layer for layer in self.layers[first:] if not layer.has_relu and not layer.trials]
        if known.layer is not None or not inside or not output.dim():
            return None
        self.layers[first:] = [layer for layer in self.layers[first:] if layer not in inside]
        is_zero = output == 0
        units = self._units(known, output, name)
        layer = self._new(name, units, output, is_zero, _counted(units, {4: is_zero}))
        layer.activation = activation
        self.ledger.set(output, replace(known, layer=layer, root=layer))
        return layer

    def use(self, call: Call, result: Tensor) -> None:
        """Take note of what a layer's values go into: a number, or something with units."""
        for tensor in call.tensors:
            root = self.ledger.get(tensor).root
            if root is not None and not result.dim():
                root.sums_up = True
            elif root is not None and call.name not in CARRIES:
                root.uses += 1

    def drop_penalties(self) -> None:
        """Leave out layers that go into nothing but a number, such as the clamp of a hinge loss."""
        for layer in [layer for layer in self.layers if layer.sums_up and not layer.uses]:
            self.layers.remove(layer)
            self.notes[layer.key.call] = "all of it is summed up, as in a loss: no layer of units"

    def name(self, layer: LayerCounts) -> str:
        """The layer's name for people."""
        return self._names.of(layer.key)

    def reconcile(self, tensor: Tensor, *, seen_at: str) -> None:
        """Compare the zeros of a tensor with those that are explained."""
        known = self.ledger.get(tensor)
        if known.root is not None:
            known.root.uses += 1
        is_explained = known.closed is True and known.layer is None
        if known.is_weights or is_explained or not self.ledger.is_first_look(tensor):
            return
        zeros = (tensor == 0).sum()
        if known.layer is not None:
            explained = known.layer.zeros
        else:
            found = known.explained_zeros(tensor)
            explained = zeros if found is True else torch.zeros_like(zeros)
            explained = found.sum() if isinstance(found, Tensor) else explained
        self.remainders.append(Remainder(known.made_by, seen_at, zeros, explained, tensor.numel()))

    def settle(self) -> Iterator[tuple[LayerCounts, BrokenIdentity]]:
        """Fetch all counts from their devices, and say which contradict themselves."""
        tensors = [
            part
            for layer in self.layers
            for part in (layer.counts, layer.zeros, layer.total, *_parts(layer.trials))
        ]
        tensors += [part for check in self.checks for part in (check.expected, check.observed)]
        tensors += [part for left in self.remainders for part in (left.zeros, left.explained)]
        fetched = iter(on_host(tensors))
        for layer in self.layers:
            layer.counts, layer.zeros, layer.total = (next(fetched) for _ in range(3))
            if layer.trials is not None:
                trials = layer.trials
                trials.counts, trials.zeros_before, trials.zeros = (next(fetched) for _ in range(3))
        checks = [(check, next(fetched), next(fetched)) for check in self.checks]
        self.remainders = [
            replace(left, zeros=next(fetched), explained=next(fetched)) for left in self.remainders
        ]
        for check, expected, observed in checks:
            if int(expected) != int(observed):
                name = self._names.of(check.layer.key)
                yield (
                    check.layer,
                    BrokenIdentity(
                        name,
                        check.identity,
                        expected=f"{int(expected)} {check.of}",
                        observed=int(observed),
                    ),
                )
        for layer in self.layers:
            yield from _contradictions(layer, self._names.of(layer.key))

    @property
    def is_finite(self) -> bool:
        """Whether every layer's output was, once the pass is settled."""
        return all(bool(layer.total.isfinite()) for layer in self.layers)

    def _units(self, known: Known, tensor: Tensor, name: str) -> Units:
        """The tensor's units: as the user says, as they are known, or by its shape."""
        axis = self._unit_axis
        if isinstance(axis, Mapping):
            axis = axis.get(name)
        if axis is not None and -tensor.dim() <= axis < tensor.dim():
            return Units.along(tensor, axis, source=known.units.source if known.units else "")
        return known.units or Units.guessed(tensor)

    def _new(
        self, name: str, units: Units, y: Tensor, is_zero: Tensor, counts: Tensor
    ) -> LayerCounts:
        """Another layer with this output."""
        self._turns[name, units.source] += 1
        layer = LayerCounts(
            key=Key(name, units.source, self._turns[name, units.source]),
            activation=None,
            has_relu=False,
            units=units,
            size=y.size(),
            counts=counts,
            zeros=is_zero.sum(),
            total=y.sum(),
        )
        self.layers.append(layer)
        return layer

    def _set(self, output: Tensor, layer: LayerCounts, known: Known) -> None:
        """Say whose output this is."""
        self.ledger.set(output, replace(known, units=layer.units, layer=layer, root=layer))


def _causes_after(known: Known, without: Tensor | None, is_zero: Tensor) -> dict[int, Tensor]:
    """The zeros of an output by cause (by place in the counts), with dropout somewhere before."""
    if without is None or known.kept is None:
        return {2: is_zero}
    would_be = without != 0
    closed = is_zero & ~would_be
    return {1: is_zero & would_be, 2: closed & known.kept, 3: closed & ~known.kept}


def _explained_by(known: Known, flags: dict[int, Tensor]) -> dict[int, Tensor]:
    """The same, with the zeros apart that no ReLU has closed."""
    if known.closed is True:
        return flags
    closed = known.closed & flags[2]
    return {**flags, 2: closed, 4: flags[2] & ~closed}


def _counted(units: Units, flags: Mapping[int, Tensor]) -> Tensor:
    """Active, dropped, inactive, both and unexplained by unit; who is none of these is active."""
    sums = {place: units.sums(zeros) for place, zeros in flags.items()}
    first = next(iter(sums.values()))
    rest = units.pairs.to(first.device) - sum(sums.values())
    nobody = torch.zeros_like(first)
    return torch.stack([rest, *(sums.get(place, nobody) for place in (1, 2, 3, 4))])


def _crossed(units: Units, is_open: Tensor, keep: Tensor, *, is_closed: bool) -> Tensor:
    """The same of one dropout, by what is open, what is kept, and what is both.

    Zeros that are not open are a ReLU's if `is_closed`, and else nobody's.
    """
    opened, kept, active = (units.sums(flags) for flags in (is_open, keep, is_open & keep))
    pairs = units.pairs.to(opened.device)
    closed, none = kept - active, torch.zeros_like(active)
    inactive, unexplained = (closed, none) if is_closed else (none, closed)
    return torch.stack(
        [active, opened - active, inactive, pairs - opened - kept + active, unexplained]
    )


def _close(layer: LayerCounts) -> None:
    """Trials of a dropout, told by what the ReLU behind it lets through."""
    trials = layer.trials
    if trials is not None:
        trials.zeros_before, trials.zeros = layer.counts[2:4].sum(), layer.zeros
        if trials.is_by_pair:
            trials.counts = layer.counts[:4].sum(1)


def _trials(
    which: DropoutCall, is_open: Tensor, keep: Tensor, *, layer: LayerCounts, is_first: bool
) -> Trials:
    """The independent draws of one dropout, by cause."""
    is_by_pair = which.trial_axes >= keep.dim()
    if is_by_pair and is_first:
        active, dropped, inactive, both, unexplained = layer.counts.sum(1).unbind()
        counts = torch.stack([active, dropped, inactive + unexplained, both])
        return Trials(counts, is_by_pair, inactive + unexplained + both, layer.zeros)
    zeros_before = (~is_open).sum()
    if not is_by_pair:
        is_open = is_open.flatten(which.trial_axes).any(-1)
        keep = keep.flatten(which.trial_axes).all(-1)
    counts = torch.stack([flags.sum() for flags in by_cause(is_open, keep)])
    return Trials(counts, is_by_pair, zeros_before, layer.zeros)


def _parts(trials: Trials | None) -> tuple[Tensor, ...]:
    return () if trials is None else (trials.counts, trials.zeros_before, trials.zeros)


def _contradictions(layer: LayerCounts, name: str) -> Iterator[tuple[LayerCounts, BrokenIdentity]]:
    """What does not add up in a layer whose counts have been fetched."""
    zeros = int(layer.counts[1:].sum())
    if zeros != int(layer.zeros):
        expected = f"{zeros} zeros by their causes"
        yield layer, BrokenIdentity(name, 1, expected=expected, observed=f"{int(layer.zeros)} in y")
