"""Measures an epoch of a stack: running sums by unit, then records.

It keeps sums, never activations.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pipeline.records import EpochRecord, LayerRecord, Score
from pipeline.training import device as devices
from pipeline.training.batches import Batch, Examples
from pipeline.training.stack import LayerPass, Stack
from why_zero import StateCount, causes_of, count_causes, identities

# Activations of a stack in a batch from which a CPU is faster with one network at a time.
WORTH_GOING_ALONE = 5_000_000
_ALL = slice(None)


def cross_entropy(
    logits: Float[Tensor, "networks batch classes"], target: Int[Tensor, "networks_or_1 batch"]
) -> Float[Tensor, "networks batch"]:
    """-ln softmax(logits)[target] of every sample, in nats."""
    target = target.expand(len(logits), -1)
    losses = F.cross_entropy(logits.float().flatten(0, 1), target.flatten(), reduction="none")
    return losses.view_as(target)


class ScoreSum:
    """Running sums of losses and correct answers, for every network of a stack."""

    def __init__(self, networks: int, device: torch.device) -> None:
        """Start at zero."""
        self._samples = np.zeros(networks, np.int64)
        self._loss = torch.zeros(networks, device=device)
        self._right = torch.zeros(networks, dtype=torch.int64, device=device)

    def add(
        self,
        logits: Float[Tensor, "networks batch classes"],
        losses: Float[Tensor, "networks batch"],
        target: Int[Tensor, "networks_or_1 batch"],
        members: slice = _ALL,
    ) -> None:
        """Add a batch of these networks."""
        self._samples[members] += target.shape[1]
        self._loss[members] += losses.sum(1)
        self._right[members] += (logits.argmax(-1) == target).sum(1)

    def scores(self) -> list[Score]:
        """Each network's mean loss and accuracy; this waits for the device."""
        sums = zip(self._loss.tolist(), self._right.tolist(), self._samples.tolist(), strict=True)
        return [Score(loss / samples, right / samples) for loss, right, samples in sums]


@torch.no_grad()
def evaluate(
    stack: Stack, batches: Iterable[Batch], *, states: StateCount | None = None
) -> list[Score]:
    """Each network's score in evaluation mode, in float32.

    Args:
        stack: the networks.
        batches: what they are scored on.
        states: also counts what every hidden unit does.
    """
    total = ScoreSum(len(stack.recipes), stack.scales.device)
    together = [(_ALL, stack)]
    alone: list[tuple[slice, Stack]] = []
    for batch in batches:
        # A CPU's caches hold the layers of one network until they are counted, not those of all.
        activations = len(stack.recipes) * batch.target.shape[1] * sum(stack.units)
        is_large = stack.scales.device.type == "cpu" and activations >= WORTH_GOING_ALONE
        if is_large and not alone:
            alone = [(slice(m, m + 1), stack.part(m)) for m in range(len(stack.recipes))]
        for members, part in alone if is_large else together:
            x, target = (t if len(t) == 1 else t[members] for t in (batch.x, batch.target))
            trace: list[LayerPass] | None = [] if states is not None else None
            logits = part(x, trace=trace)
            if states is not None and trace is not None:
                states.add([(layer.z, layer.h) for layer in trace[:-1]], members)
            total.add(logits, cross_entropy(logits, target), target, members)
    return total.scores()


class Watch:
    """What the watched updates of one epoch showed, for every layer of a stack."""

    def __init__(self, stack: Stack) -> None:
        """Start at zero, and remember the weights as they are now."""
        self._stack = stack
        self._samples = 0
        self._batches = 0
        self._before = [_incoming(stack, layer) for layer in range(len(stack.weights))]
        rows = [(weight.shape[0], weight.shape[2]) for weight in stack.weights]
        device = stack.scales.device
        self._causes = [torch.zeros(4, *row, dtype=torch.int64, device=device) for row in rows]
        self._row_norms = [torch.zeros(row, device=device) for row in rows]
        self._norms = [torch.zeros(row[0], device=device) for row in rows]

    def add(self, layers: Sequence[LayerPass]) -> None:
        """Count why each activation of a training pass was zero.

        Raises:
            BrokenIdentity: the count contradicts the pass, or the gradients that the weights
                hold now contradict the count.
        """
        self._samples += layers[0].z.shape[1]
        self._batches += 1
        for index, (name, layer) in enumerate(zip(self._stack.layer_names, layers, strict=True)):
            is_linear = self._stack.is_linear_at(name)
            counts = count_causes(layer.z, layer.keep, is_linear=is_linear)
            identities.check_pass(
                name,
                counts,
                z=layer.z.detach(),
                y=layer.y.detach(),
                keep=layer.keep,
                scale=layer.scale,
                is_linear=is_linear,
            )
            self._causes[index] += counts
            self._add_gradients(index, is_silent=counts[0] + counts[1] == 0)

    def _add_gradients(self, index: int, *, is_silent: Bool[Tensor, "networks units"]) -> None:
        """Add the gradient norms of one layer, whose silent units must have none."""
        stack = self._stack
        gradient, bias = stack.weights[index].grad, stack.biases[index].grad
        if gradient is None or bias is None:
            return
        norms = torch.linalg.vector_norm(gradient, dim=1)
        claimed = [norms, bias[:, 0]]
        if index + 1 < len(stack.weights) and (after := stack.weights[index + 1].grad) is not None:
            claimed.append(torch.linalg.vector_norm(after, dim=2))
        # A loss that is no longer finite is not a broken measurement.
        is_finite = torch.stack(claimed).isfinite().all(0)
        identities.check_dead(stack.layer_names[index], is_silent & is_finite, *claimed)
        self._row_norms[index] += norms
        self._norms[index] += torch.linalg.vector_norm(norms, dim=1)

    def check(self) -> None:
        """Check the sums against the distribution that dropout implies.

        Raises:
            BrokenIdentity: correct counts would give them less than once in a billion times.
        """
        if not self._samples:
            return
        for name, counts, rates in zip(
            self._stack.layer_names, self._causes, self._stack.drop_rates, strict=True
        ):
            _, dropped, inactive, both = counts.sum(2)
            pairs = self._samples * counts.shape[2]
            identities.check_dropped(name, counts, rates)
            identities.check_zero_rate(
                name, dropped + inactive + both, inactive + both, pairs=pairs, drop_rates=rates
            )

    def layers(self, states: StateCount, *, is_trained: bool) -> list[tuple[LayerRecord, ...]]:
        """The layer records of every network.

        Args:
            states: what the units do over the reference set.
            is_trained: whether optimizer steps were taken; gradients and changes are recorded
                only then.
        """
        columns = [
            self._column(index, states, is_trained=is_trained)
            for index in range(len(self._stack.weights))
        ]
        return list(zip(*columns, strict=True))

    def _column(self, index: int, states: StateCount, *, is_trained: bool) -> list[LayerRecord]:
        """One layer's records, one for each network."""
        stack, name = self._stack, self._stack.layer_names[index]
        before, after = self._before[index], _incoming(stack, index)
        update_norms = torch.linalg.vector_norm(after - before, dim=1).cpu().double().numpy()
        weight_change = (after - before)[:, :-1].flatten(1)
        ratios = (weight_change.norm(dim=1) / before[:, :-1].flatten(1).norm(dim=1)).tolist()
        has_gradients = is_trained and self._batches > 0
        row_norms = self._row_norms[index].cpu().double().numpy() / max(self._batches, 1)
        norms = (self._norms[index].cpu().double() / max(self._batches, 1)).tolist()
        causes = self._causes[index].cpu()
        return [
            LayerRecord(
                name=name,
                causes=causes_of(causes[:, member], self._samples, layer=name),
                states=states.states(index, member) if recipe.has_relu(name) else None,
                gradient_norm=norms[member] if has_gradients else None,
                gradient_norms=row_norms[member] if has_gradients else None,
                update_ratio=ratios[member] if is_trained else None,
                update_norms=update_norms[member] if is_trained else None,
            )
            for member, recipe in enumerate(stack.recipes)
        ]


def epoch_records(
    stack: Stack,
    epoch: int,
    *,
    watch: Watch,
    train: Sequence[Score] | None,
    training: Examples,
    validation: Examples,
    seconds: float,
) -> list[EpochRecord]:
    """The record of every network at the end of an epoch, evaluated with its current weights.

    Args:
        stack: the networks.
        epoch: 0 at birth.
        watch: what the watched updates showed.
        train: each network's score over the epoch's updates; None at birth.
        training: the images trained on.
        validation: those validated on.
        seconds: taken by the updates of all networks.

    Raises:
        BrokenIdentity: chance cannot explain what was watched.
    """
    watch.check()
    networks = len(stack.recipes)
    states = StateCount(networks, stack.recipes[0].widths, stack.scales.device)
    train_eval = evaluate(stack, training.in_order(), states=states)
    held_out = evaluate(stack, validation.in_order())
    layers = watch.layers(states, is_trained=train is not None)
    memory = devices.peak_memory_mb(stack.scales.device)
    return [
        EpochRecord(
            member=member,
            epoch=epoch,
            layers=layers[member],
            train=train[member] if train else None,
            train_eval=train_eval[member],
            validation=held_out[member],
            epoch_seconds=seconds / networks if train else None,
            samples_per_second=len(training) * networks / seconds if train else None,
            peak_memory_mb=memory if train else None,
        )
        for member in range(networks)
    ]


def _incoming(stack: Stack, layer: int) -> Float[Tensor, "networks inputs_and_bias units"]:
    """Each unit's incoming row with its bias behind it, a copy."""
    weight, bias = stack.weights[layer].detach(), stack.biases[layer].detach()
    return torch.cat([weight, bias], dim=1)
