"""The layers of one pass, counted as its calls happen and checked against one another."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from why_zero._watch.backward import scale_of
from why_zero._watch.calls import ActivationCall, DropoutCall
from why_zero._watch.layer_counts import Key, LayerCounts, Names, Trials, by_unit, causes_by_unit
from why_zero._watch.lineage import Lineage, Maker, Origin, Place
from why_zero.errors import BrokenIdentity, WhyZeroError
from why_zero.identities import check_survivors


@dataclass(frozen=True)
class CallInput:
    """What is known of a call's input before the call may overwrite it."""

    origin: Origin | None
    maker: Maker
    place: Place
    values: Tensor


class PassCounts:
    """Counts of one pass, by layer in order of call.

    `is_finite` is False from the first layer that holds NaN or infinity: the pass is void then.
    """

    def __init__(self, names: Names) -> None:
        self.layers: list[LayerCounts] = []
        self.lineage = Lineage()
        self.is_finite = True
        self._names = names
        self._turns: Counter[tuple[str, str]] = Counter()

    def before(self, source: Tensor, *, is_overwritten: bool) -> CallInput:
        """What a call's input is, and a copy of it where the call overwrites it."""
        values = source.detach().clone() if is_overwritten else source.detach()
        origin, maker = self.lineage.origin(source), self.lineage.maker(source)
        return CallInput(origin, maker, Place.of(source), values)

    def activation(
        self, call: str, activation: ActivationCall, before: CallInput, *, result: Tensor
    ) -> LayerCounts:
        """Count an activation that has just happened, and whose name in the module is `call`."""
        self.lineage.inherit(activation.z, result)
        key = self._key(call, before.maker)
        origin = before.origin
        if activation.is_relu and origin and origin.layer and origin.stage == "dropped":
            # Where a ReLU stands before the dropout too, this one makes no zero of its own.
            if not origin.layer.has_relu:
                self._close(origin.layer, key, before=before, zeros=int((result == 0).sum()))
            self.lineage.mark(result, "dropped", origin.layer)
            return origin.layer
        layer = self._new(key, activation.name, before.maker.axis, of=result)
        layer.has_relu = activation.is_relu
        zeros = by_unit(result == 0, layer.axis)
        if activation.is_relu:
            is_open = before.values > 0
            layer.counts[0], layer.counts[2] = (
                by_unit(flags, layer.axis) for flags in (is_open, ~is_open)
            )
            if not torch.equal(zeros, layer.counts[2]):
                self._explain(layer, 1, layer.counts[2].sum(), zeros.sum(), values=before.values)
        else:
            layer.counts[0], layer.other_zeros = layer.pairs, zeros
        self.lineage.mark(result, "relu" if activation.is_relu else "soft", layer)
        return layer

    def dropout(
        self, call: str, dropout: DropoutCall, before: CallInput, *, keep: Tensor, y: Tensor
    ) -> LayerCounts:
        """Count a dropout that has just happened, and whose name in the module is `call`."""
        self.lineage.inherit(dropout.x, y)
        origin, h = before.origin, before.values
        is_dropped = ~keep
        layer, in_layer = _layer_of(origin, before.place)
        if layer is None:
            layer = self._new(self._key(call, before.maker), None, before.maker.axis, of=h)
            layer.has_relu = origin is not None and origin.stage in {"relu", "derived"}
            in_layer = _unchanged
        if dropout.drop_rate == 0 and in_layer is not _unchanged:
            return layer
        check_survivors(self.name(layer), h, y, keep=keep, scale=scale_of(dropout.drop_rate))
        is_open = h > 0 if layer.has_relu else torch.ones_like(keep)
        self._count(layer, is_open, is_dropped, in_layer)
        if not layer.has_relu:
            layer.other_zeros = by_unit(in_layer((h == 0) & keep), layer.axis)
            if h.numel() == layer.size.numel():
                kept = ~in_layer(is_dropped)
                layer.if_closed = causes_by_unit(in_layer(h > 0), kept, layer.axis)
        layer.trials = trials = _trials(dropout, is_open, keep, counts=layer.counts)
        is_zero = ~is_open if layer.has_relu else h == 0
        trials.zeros_before, trials.zeros = int(is_zero.sum()), int((y == 0).sum())
        expected = (is_zero | is_dropped).sum()
        if int(expected) != trials.zeros:
            self._explain(layer, 1, expected, trials.zeros, values=h)
        self.lineage.mark(y, "dropped", layer)
        return layer

    def name(self, layer: LayerCounts) -> str:
        """The layer's name for people."""
        return self._names.expected(layer.key)

    def _key(self, call: str, maker: Maker) -> Key:
        self._turns[call, maker.name] += 1
        return Key(call, maker.name, self._turns[call, maker.name])

    def _new(self, key: Key, activation: str | None, axis: int, *, of: Tensor) -> LayerCounts:
        units = of.size(axis)
        counts = torch.zeros(4, units, dtype=torch.int64, device=of.device)
        layer = LayerCounts(key, activation, False, axis, of.size(), counts, counts[0].clone())
        self.layers.append(layer)
        return layer

    def _count(
        self,
        layer: LayerCounts,
        is_open: Tensor,
        is_dropped: Tensor,
        in_layer: Callable[[Tensor], Tensor],
    ) -> None:
        """Put the four causes in the layer, which may have counted its open pairs before."""
        fired = layer.counts[0]
        if is_open.numel() == layer.size.numel():
            counts = causes_by_unit(in_layer(is_open), ~in_layer(is_dropped), layer.axis)
        else:
            # Dropout saw a part of the layer; the rest is kept.
            dropped = by_unit(in_layer(is_open & is_dropped), layer.axis)
            both = by_unit(in_layer(~is_open & is_dropped), layer.axis)
            counts = torch.stack([fired - dropped, dropped, layer.counts[2] - both, both])
        open_again = counts[0] + counts[1]
        if layer.activation is not None and not torch.equal(open_again, fired):
            raise BrokenIdentity(
                self.name(layer),
                1,
                expected=f"{int(fired.sum())} open pairs, as at the activation",
                observed=f"{int(open_again.sum())} at its dropout",
            )
        layer.counts = counts

    def _close(self, layer: LayerCounts, key: Key, *, before: CallInput, zeros: int) -> None:
        """A ReLU after its dropout: identity 5 says that the order does not matter."""
        counts = layer.if_closed
        if counts is None or before.values.numel() != layer.size.numel():
            raise WhyZeroError(
                "a ReLU must see all that the dropout before it gave, got "
                f"{before.values.numel()} of {layer.size.numel()} values in {key.call}: "
                "split before the dropout, or put the ReLU first"
            )
        layer.key, layer.activation, layer.has_relu = key, "relu", True
        layer.counts, layer.if_closed = counts, None
        layer.other_zeros = torch.zeros_like(layer.other_zeros)
        expected = counts[1:].sum()
        if int(expected) != zeros:
            self._explain(layer, 5, expected, zeros, values=before.values)
        if layer.trials is not None:
            by_cause = counts.sum(1)[:, None, None] if layer.trials.is_by_pair else None
            layer.trials.counts = layer.trials.counts if by_cause is None else by_cause
            layer.trials.zeros_before, layer.trials.zeros = int(counts[2:].sum()), zeros

    def _explain(
        self,
        layer: LayerCounts,
        identity: int,
        expected: Tensor,
        observed: Tensor | int,
        *,
        values: Tensor,
    ) -> None:
        """Void the pass where its values are not finite; else the instrument is wrong."""
        if bool(values.isfinite().all()):
            raise BrokenIdentity(
                self.name(layer),
                identity,
                expected=f"{int(expected)} zeros",
                observed=f"{int(observed)} zeros",
            )
        self.is_finite = False


def _unchanged(flags: Tensor) -> Tensor:
    return flags


def _layer_of(
    origin: Origin | None, place: Place
) -> tuple[LayerCounts | None, Callable[[Tensor], Tensor]]:
    """The activation's layer that a dropout at this place belongs to, and the way there."""
    if origin is None or origin.layer is None or origin.stage not in {"relu", "soft"}:
        return None, _unchanged
    if origin.layer.trials is not None or not origin.holds(place):
        return None, _unchanged
    return origin.layer, lambda flags: origin.in_layer(flags, place)


def _trials(dropout: DropoutCall, is_open: Tensor, keep: Tensor, *, counts: Tensor) -> Trials:
    """The independent draws of one dropout, by cause."""
    is_by_pair = dropout.trial_axes >= keep.dim()
    if is_by_pair and int(counts.sum()) == keep.numel():
        return Trials(dropout.drop_rate, counts.sum(1)[:, None, None], is_by_pair)
    if not is_by_pair:
        is_open = is_open.flatten(dropout.trial_axes).any(-1)
        keep = keep.flatten(dropout.trial_axes).all(-1)
    drawn = causes_by_unit(is_open.reshape(-1, 1), keep.reshape(-1, 1), 1)
    return Trials(dropout.drop_rate, drawn[..., None], is_by_pair)
