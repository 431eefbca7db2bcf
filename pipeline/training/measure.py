"""Measures an epoch of a stack: running sums by unit, then records.

It keeps sums, never activations.
"""

import itertools
from collections.abc import Iterable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pipeline.config.recipe import Recipe
from pipeline.records import INPUT, EpochRecord, LayerRecord, Score
from pipeline.training import device as devices
from pipeline.training.batches import Batch, Examples
from pipeline.training.masks import check_masks
from pipeline.training.stack import LayerPass, Stack
from why_zero import BrokenIdentity, StateCount, causes_of, count_causes, identities
from why_zero.records import ZeroCauses

# Activations of a stack in a batch from which a CPU is faster with one network at a time.
WORTH_GOING_ALONE = 1_500_000
SAMPLES_COUNTED_TWICE = 50
_ALL = slice(None)


def drop_rates(stack: Stack) -> list[list[float]]:
    """P of each layer and network as the recipes' settings say, not as stack or masks hold it."""
    return [
        [_setting(recipe, layer) for recipe in stack.recipes]
        for layer in range(len(stack.layer_names))
    ]


def _setting(recipe: Recipe, layer: int) -> float:
    if layer == len(recipe.widths) and not recipe.output_dropout:
        return 0.0
    return recipe.drop_rate[layer] if isinstance(recipe.drop_rate, tuple) else recipe.drop_rate


def scales(stack: Stack) -> Float[Tensor, "layers networks 1 1"]:
    """1 / (1 - p) with these drop rates: what a pass is checked by."""
    return torch.stack([_scale(rates, stack.scales.device) for rates in drop_rates(stack)])


def _scale(rates: Sequence[float], device: torch.device) -> Float[Tensor, "networks 1 1"]:
    return torch.tensor([1 / (1 - rate) for rate in rates], device=device)[:, None, None]


def activated(stack: Stack, z: Float[Tensor, "networks batch units"]) -> Tensor | None:
    """H of a hidden layer of networks without ReLU as their recipes say, in float32.

    By other formulas than the stack's, so that one of them checks the other. What it gives for a
    network with ReLU means nothing; None where no network has a logistic or leaky function.
    """
    kinds = [recipe.activation for recipe in stack.recipes]
    if not {"sigmoid", "leaky_relu"}.intersection(kinds):
        return None
    z = z.detach().float()
    formulas = {"sigmoid": (z / 2).tanh() / 2 + 0.5, "leaky_relu": torch.maximum(z, 0.01 * z)}
    return torch.stack([formulas.get(kind, z)[member] for member, kind in enumerate(kinds)])


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
    stack: Stack,
    batches: Iterable[Batch],
    *,
    states: StateCount | None = None,
    counted_twice: int = 0,
) -> list[Score]:
    """Each network's score in evaluation mode, in float32.

    Args:
        stack: the networks.
        batches: what they are scored on.
        states: also counts what every hidden unit does.
        counted_twice: the network whose states are counted by the definitions as well, for the
            first samples.

    Raises:
        BrokenIdentity: the two counts differ.
    """
    total = ScoreSum(len(stack.recipes), stack.scales.device)
    together = [(_ALL, stack)]
    alone: list[tuple[slice, Stack]] = []
    for number, batch in enumerate(batches):
        # A CPU's caches hold the layers of one network until they are counted, not those of all.
        activations = len(stack.recipes) * batch.target.shape[1] * sum(stack.units)
        is_large = stack.scales.device.type == "cpu" and activations >= WORTH_GOING_ALONE
        if is_large and not alone:
            alone = [(slice(m, m + 1), stack.part([m])) for m in range(len(stack.recipes))]
        for members, part in alone if is_large else together:
            x, target = (t if len(t) == 1 else t[members] for t in (batch.x, batch.target))
            trace: list[LayerPass] | None = [] if states is not None else None
            logits = part(x, trace=trace)
            if states is not None and trace is not None:
                hidden = [(layer.z, layer.h) for layer in trace[:-1]]
                states.add(hidden, members)
                place = counted_twice - (members.start or 0)
                if number == 0 and place in range(len(part.recipes)):
                    _check_counting(part.recipes[place], hidden, place)
            total.add(logits, cross_entropy(logits, target), target, members)
    return total.scores()


def _check_counting(
    recipe: Recipe, hidden: Sequence[tuple[Float[Tensor, "networks batch _"], Tensor]], member: int
) -> None:
    """Count a network's states as an evaluation does, and by the definitions; a few samples."""
    rows = slice(member, member + 1), slice(SAMPLES_COUNTED_TWICE)
    first = [(z[rows], h[rows]) for z, h in hidden]
    count = StateCount(1, recipe.widths, hidden[0][0].device)
    count.add(first)
    for index, name in enumerate(recipe.layers[:-1]):
        if recipe.has_relu(name):
            own, *later = (z[0] for z, _ in first[index:])
            identities.check_states(name, count.states(index, 0), own, later=later)


def check_losses(
    logits: Float[Tensor, "networks batch classes"],
    losses: Float[Tensor, "networks batch"],
    labels: Int[Tensor, "networks_or_1 batch"],
) -> None:
    """Identity 12: the losses are those of the samples' own labels, computed another way.

    Raises:
        BrokenIdentity: they are not, by more than rounding. What is not finite is left alone.
    """
    logits = logits.float()
    own = logits.gather(-1, labels.expand(len(logits), -1)[..., None])[..., 0]
    expected = logits.logsumexp(-1) - own
    tolerance = 1e-4 * (1 + logits.abs().amax(-1))
    differs = ((losses - expected).abs() > tolerance) & losses.isfinite() & expected.isfinite()
    if bool(differs.any()):
        network, sample = differs.nonzero()[0].tolist()
        raise BrokenIdentity(
            "logits",
            12,
            expected=f"a loss of {expected[network, sample]:.6g} for the label of sample {sample}",
            observed=f"{losses[network, sample]:.6g}",
        )


class Watch:
    """What the watched updates of one epoch showed, for every layer of a stack."""

    def __init__(self, stack: Stack, *, epoch: int | None = None) -> None:
        """Start at zero, and remember the weights as they are now.

        Args:
            stack: the networks.
            epoch: whose masks the first pass has: those of one network, of another one each epoch,
                are compared with what it draws alone.
        """
        self._stack, self._epoch = stack, epoch
        self._samples = 0
        self._batches = 0
        self._before = [_incoming(stack, layer) for layer in range(len(stack.weights))]
        rows = [(weight.shape[0], weight.shape[2]) for weight in stack.weights]
        device = stack.scales.device
        self._drop_rates, self._scales = drop_rates(stack), scales(stack)
        self._inputs = _InputWatch(stack)
        self._causes = [torch.zeros(4, *row, dtype=torch.int64, device=device) for row in rows]
        # The same by name instead of place: no layer's causes are taken for another's.
        self._zeros = {
            name: torch.zeros(row, dtype=torch.int64, device=device)
            for name, row in zip(stack.layer_names, rows, strict=True)
        }
        self._row_norms = [torch.zeros(row, device=device) for row in rows]
        self._norms = [torch.zeros(row[0], device=device) for row in rows]
        self._differentiated = [0] * len(rows)  # passes that left gradients

    def add(self, layers: Sequence[LayerPass], *, inputs: LayerPass | None = None) -> None:
        """Count why each activation of a training pass was zero.

        Args:
            layers: what each layer did.
            inputs: what became of the inputs; None where no network drops any.

        Raises:
            BrokenIdentity: the count contradicts the pass or the recipes' drop rates, the
                gradients that the weights hold now contradict the count, or a mask is another's.
        """
        samples = layers[0].z.shape[1]
        kept_inputs = None if inputs is None else inputs.keep
        if inputs is not None:
            self._inputs.add(inputs)
        for index, (name, layer) in enumerate(zip(self._stack.layer_names, layers, strict=True)):
            has_no_relu = self._stack.has_no_relu_at(name)
            h = None if name == "logits" else activated(self._stack, layer.z)
            if h is not None:
                rows = has_no_relu[:, 0, 0]
                identities.check_activation(name, layer.h.detach()[rows], h[rows])
            counts = count_causes(layer.z, layer.keep, has_no_relu=has_no_relu)
            identities.check_pass(
                name,
                counts,
                z=layer.z.detach(),
                y=layer.y.detach(),
                keep=layer.keep,
                scale=self._scales[index],
                has_no_relu=has_no_relu,
                h=None if h is None else layer.h.detach(),
            )
            self._causes[index] += counts
            self._zeros[name] += counts[1:].sum(0)
            self._add_gradients(index, is_silent=counts[0] == 0)
        if self._epoch is not None and not self._batches:
            member = self._epoch % len(self._stack.recipes)
            kept = [kept_inputs, *(layer.keep for layer in layers)]
            names = (INPUT, *self._stack.layer_names)
            check_masks(
                {
                    name: None if keep is None else keep[member]
                    for name, keep in zip(names, kept, strict=True)
                },
                self._stack.recipes[member],
                self._stack.units,
                batch=samples,
                epoch=self._epoch,
                device=self._stack.scales.device,
            )
        self._samples += samples
        self._batches += 1

    def _add_gradients(self, index: int, *, is_silent: Bool[Tensor, "networks units"]) -> None:
        """Add the gradient norms of one layer; units never active in the batch must have none."""
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
        self._differentiated[index] += 1

    def check(self) -> None:
        """Check the sums against the distribution that dropout implies.

        Raises:
            BrokenIdentity: correct counts would give them less than once in a billion times.
        """
        if not self._samples:
            return
        for name, counts, rates in zip(
            self._stack.layer_names, self._causes, self._drop_rates, strict=True
        ):
            _check_rates(name, counts, rates, samples=self._samples)
        self._inputs.check(self._samples)

    def layers(
        self, states: StateCount, *, is_trained: bool, places: Sequence[int] | None = None
    ) -> list[tuple[LayerRecord, ...]]:
        """The layer records of every network.

        Args:
            states: what the units do over the reference set.
            is_trained: whether optimizer steps were taken; gradients and changes are recorded
                only then.
            places: of each network in `states`; None where these are of all.

        Raises:
            BrokenIdentity: a record contradicts itself, or what its layer was seen to do.
        """
        places = places or range(len(self._stack.recipes))
        columns = [
            self._column(index, states, places, is_trained=is_trained)
            for index in range(len(self._stack.weights))
        ]
        for column in columns:
            for record, zeros in zip(column, self._zeros[column[0].name].cpu(), strict=True):
                identities.check_zeros(record.name, record.causes, zeros)
                if record.states is not None:
                    identities.check_firing(record.name, record.states)
        return list(zip(*columns, strict=True))

    def input_causes(self) -> list[ZeroCauses | None]:
        """Why the inputs of every network were zero; None for a network that drops none.

        Raises:
            BrokenIdentity: a record contradicts itself, or what was seen of the inputs.
        """
        return self._inputs.records(self._samples)

    def _column(
        self, index: int, states: StateCount, places: Sequence[int], *, is_trained: bool
    ) -> list[LayerRecord]:
        """One layer's records, one for each network."""
        stack, name = self._stack, self._stack.layer_names[index]
        before, after = self._before[index], _incoming(stack, index)
        update_norms = torch.linalg.vector_norm(after - before, dim=1).cpu().double().numpy()
        weight_change = (after - before)[:, :-1].flatten(1)
        ratios = (weight_change.norm(dim=1) / before[:, :-1].flatten(1).norm(dim=1)).tolist()
        has_gradients = is_trained and self._batches > 0
        if has_gradients and self._differentiated[index] != self._batches:
            raise BrokenIdentity(
                name,
                8,
                expected=f"gradients of {self._batches} passes",
                observed=f"those of {self._differentiated[index]}",
            )
        row_norms = self._row_norms[index].cpu().double().numpy() / max(self._batches, 1)
        norms = (self._norms[index].cpu().double() / max(self._batches, 1)).tolist()
        causes = self._causes[index].cpu()
        records = [
            LayerRecord(
                name=name,
                causes=causes_of(causes[:, member], self._samples, layer=name),
                states=states.states(index, places[member]) if recipe.has_relu(name) else None,
                gradient_norm=norms[member] if has_gradients else None,
                gradient_norms=row_norms[member] if has_gradients else None,
                update_ratio=ratios[member] if is_trained else None,
                update_norms=update_norms[member] if is_trained else None,
            )
            for member, recipe in enumerate(stack.recipes)
        ]
        # As they are recorded, so that nothing can happen to them on the way.
        changes = [(r.update_ratio, r.update_norms) for r in records]
        known = [(ratio, norms) for ratio, norms in changes if ratio is not None]
        if known:
            identities.check_updates(
                name,
                [ratio for ratio, _ in known],
                sizes=torch.linalg.vector_norm(before[:, :-1], dim=(1, 2)),
                bias_changes=(after - before)[:, -1],
                unit_changes=np.array([norms for _, norms in known]),
            )
        return records


class _InputWatch:
    """What became of the inputs in the watched updates of an epoch, if a network drops any.

    An input that is 0 in the data counts as inactive: it is zero whatever dropout does.
    """

    def __init__(self, stack: Stack) -> None:
        """Start at zero."""
        self._stack = stack
        self._rates = [recipe.input_drop_rate for recipe in stack.recipes]
        device, first = stack.scales.device, stack.weights[0]
        self._scale = _scale(self._rates, device)
        self._never = torch.zeros_like(stack.has_no_relu)
        self._counts = torch.zeros(4, *first.shape[:2], dtype=torch.int64, device=device)
        self._zeros = torch.zeros(first.shape[:2], dtype=torch.int64, device=device)

    def add(self, inputs: LayerPass) -> None:
        """Count a pass; one in which nothing can be dropped is not counted.

        Raises:
            BrokenIdentity: the count contradicts the pass, the recipes or the gradients.
        """
        if inputs.keep is None:
            return
        # Whatever its sign, an input is there or is 0.
        size = inputs.z.abs()
        counts = count_causes(size, inputs.keep, has_no_relu=self._never)
        identities.check_pass(
            INPUT,
            counts,
            z=size,
            y=inputs.y * inputs.z.sign(),
            keep=inputs.keep,
            scale=self._scale,
            has_no_relu=self._never,
        )
        self._counts += counts
        self._zeros += (inputs.y == 0).sum(1)
        gradient = self._stack.weights[0].grad
        if gradient is not None:
            norms = torch.linalg.vector_norm(gradient, dim=2)
            identities.check_dead(INPUT, (counts[0] == 0) & norms.isfinite(), norms)

    def check(self, samples: int) -> None:
        """Check the sums against the distribution that dropout implies.

        Raises:
            BrokenIdentity: correct counts would give them less than once in a billion times.
        """
        if any(self._rates):
            _check_rates(INPUT, self._counts, self._rates, samples=samples)

    def records(self, samples: int) -> list[ZeroCauses | None]:
        """The causes of every network that drops inputs.

        Raises:
            BrokenIdentity: the causes do not add up to the samples, or to the zeros seen.
        """
        counts, zeros = self._counts.cpu(), self._zeros.cpu()
        found = [
            causes_of(counts[:, member], samples, layer=INPUT) if rate else None
            for member, rate in enumerate(self._rates)
        ]
        for member, causes in enumerate(found):
            if causes is not None:
                identities.check_zeros(INPUT, causes, zeros[member])
        return found


def _check_rates(
    name: str, counts: Int[Tensor, "4 networks units"], rates: Sequence[float], *, samples: int
) -> None:
    """Identities 2 and 3 for a layer, or for the inputs."""
    _, dropped, inactive, both = counts.sum(2)
    pairs = samples * counts.shape[2]
    identities.check_dropped(name, counts, rates)
    identities.check_zero_rate(
        name, dropped + inactive + both, inactive + both, pairs=pairs, drop_rates=rates
    )


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
        BrokenIdentity: chance cannot explain what was watched, or states are of other images.
    """
    watch.check()
    networks = len(stack.recipes)
    twins = stack.twins() if train is None else list(range(networks))
    different = sorted(set(twins))
    places = [different.index(twin) for twin in twins]
    judged = stack if len(different) == networks else stack.part(different)
    states = StateCount(len(different), stack.recipes[0].widths, stack.scales.device)
    counted_twice = epoch % len(different)
    train_eval = evaluate(judged, training.in_order(), states=states, counted_twice=counted_twice)
    held_out = evaluate(judged, validation.in_order())
    layers = watch.layers(states, is_trained=train is not None, places=places)
    for layer in itertools.chain(*layers):
        if layer.states is not None and layer.states.samples != len(training):
            raise BrokenIdentity(
                layer.name,
                10,
                expected=f"states over the {len(training)} images trained on",
                observed=layer.states.samples,
            )
    inputs = watch.input_causes()
    memory = devices.peak_memory_mb(stack.scales.device)
    return [
        EpochRecord(
            member=member,
            epoch=epoch,
            layers=layers[member],
            input_causes=inputs[member],
            train=train[member] if train else None,
            train_eval=train_eval[places[member]],
            validation=held_out[places[member]],
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
