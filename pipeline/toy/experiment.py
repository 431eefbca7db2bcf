"""The toy's experiment: three networks from one start, and everything that every update saw."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from pipeline.config.recipe import Recipe
from pipeline.records import EpochRecord, LayerRecord, Score
from pipeline.toy import notebook
from pipeline.training import device as devices
from pipeline.training.batches import Batch, order
from pipeline.training.loop import Update, updates
from pipeline.training.masks import RandomMasks
from pipeline.training.measure import Watch, check_losses, evaluate, scales
from pipeline.training.optimizer import Optimizer
from pipeline.training.stack import LayerPass, Stack, named_as_plain
from why_zero import StateCount
from why_zero.identities import check_gradients

ARMS = ("relu", "relu+dropout", "dropout")
WIDTHS = (3, 3)
INPUTS, CLASSES, SAMPLES = 4, 2, 10
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Trace:
    """What every update of every arm saw.

    Attributes:
        arrays: by name. `samples/x` (10, inputs) and `samples/target` (10,); `sample` (updates,),
            which of these an update took, and with it `x` (updates, inputs) and `target`
            (updates,); for each arm A and layer L `A/L/z`, `mask`, `h`, `y` and `gradient_z`,
            `gradient_h`, `gradient_y` (updates, units); `A/loss` (updates,), in nats; for each
            parameter P `A/P` (updates + 1, …), whose entry u stands before update u + 1 and
            whose last stands after all, and its gradient `A/gradient_P` (updates, …). Likewise
            between the updates, in evaluation mode: `A/L/evaluation_z` (updates + 1, 10, units);
            `A/L/fired` (updates + 1, units), for how many of the ten samples z > 0;
            `A/h2/mask_fired` (updates + 1, units), for how many of the 80 pairs of a mask of h1
            and a sample, with h1 masked, z > 0. Without updates only `samples` and the entries
            that stand before one exist.
        histories: by arm, one record per update; record 0 is the untrained network.
    """

    arrays: Mapping[str, NDArray[Any]]
    histories: Mapping[str, tuple[EpochRecord, ...]]


def recipes(*, drop_rate: float, learning_rate: float, epochs: int, seed: int) -> list[Recipe]:
    """The recipe of each arm, in the order of `ARMS`."""
    return [
        Recipe(
            activation="relu" if "relu" in arm else "none",
            drop_rate=drop_rate if "dropout" in arm else 0.0,
            output_dropout=False,
            widths=WIDTHS,
            optimizer="sgd",
            learning_rate=learning_rate,
            batch_size=1,
            epochs=epochs,
            seed=seed,
            holdout=0,
            probe_every=1,
            mask_passes=0,  # all masks are tried instead
        )
        for arm in ARMS
    ]


def samples(init: str, seed: int) -> tuple[Float[Tensor, "10 4"], Int[Tensor, "10"]]:
    """The ten samples: the notebook's, or whole numbers 0-9 and targets 0-1 from the seed."""
    if init == "notebook":
        inputs = torch.tensor([x for x, _ in notebook.SAMPLES], dtype=torch.float32)
        return inputs, torch.tensor([target for _, target in notebook.SAMPLES])
    source = devices.generator(CPU, seed, "toy samples")
    inputs = torch.randint(0, 10, (SAMPLES, INPUTS), generator=source).float()
    return inputs, torch.randint(0, CLASSES, (SAMPLES,), generator=source)


def run(arms: Sequence[Recipe], init: str) -> Trace:
    """Train the arms side by side, one sample per update, and record everything.

    Args:
        arms: a recipe for each of `ARMS`, which differ in activation and drop rate alone.
        init: `notebook` starts from what the notebook prints, its samples in its order for
            the first epoch; `random` draws parameters, samples and order from the seed.
    """
    inputs, targets = samples(init, arms[0].seed)
    stack = Stack(arms, inputs=INPUTS, classes=CLASSES)
    if init == "notebook":
        for member in range(len(arms)):
            stack.load(member, notebook.WEIGHTS)
    optimizer = Optimizer(stack)
    recorder = _Recorder(stack, Batch(inputs[None], targets[None]))
    for epoch in range(1, arms[0].epochs + 1):
        is_printed = init == "notebook" and epoch == 1
        rows = torch.arange(SAMPLES) if is_printed else _order(arms[0].seed, epoch)
        taken = updates(
            stack,
            optimizer,
            batches=(Batch(inputs[None, row, None], targets[None, row, None]) for row in rows),
            masks=RandomMasks(arms, stack.units, stream=f"epoch {epoch}", device=CPU),
            is_watched=lambda _: True,
            keep_gradients=True,
        )
        for row, update in zip(rows, taken, strict=True):
            recorder.add(update, row)
    return recorder.trace()


def _order(seed: int, epoch: int) -> Int[Tensor, "10"]:
    return order(seed, epoch=epoch, samples=SAMPLES)


class _Recorder:
    """Collects what each update saw, arm by arm."""

    def __init__(self, stack: Stack, reference: Batch) -> None:
        self._stack = stack
        self._scales = scales(stack)
        self._reference = reference
        self._rows: dict[str, list[NDArray[Any]]] = defaultdict(list)
        self._records: list[list[EpochRecord]] = [[] for _ in ARMS]
        self._watch = Watch(stack)
        self._stand(train=None)

    def add(self, update: Update, sample: Int[Tensor, ""]) -> None:
        """Record an update that has just been taken, on this one of the ten samples."""
        self._rows["sample"].append(sample.numpy())
        self._rows["x"].append(update.batch.x[0, 0].numpy())
        self._rows["target"].append(update.batch.target[0, 0].numpy())
        for name, layer, scale in zip(
            self._stack.layer_names, update.layers, self._scales, strict=True
        ):
            kept = torch.ones_like(layer.z, dtype=torch.bool) if layer.keep is None else layer.keep
            self._by_arm(f"{name}/mask", kept.expand_as(layer.z))
            for quantity, values in (("z", layer.z), ("h", layer.h), ("y", layer.y)):
                self._by_arm(f"{name}/{quantity}", values)
                self._by_arm(f"{name}/gradient_{quantity}", _gradient(values))
            if layer.keep is not None:
                gradients = _gradient(layer.h), _gradient(layer.y)
                check_gradients(name, *gradients, keep=kept, scale=scale)
        check_losses(update.logits, update.losses, self._reference.target[:, sample, None])
        self._by_arm("loss", update.losses[:, 0])
        gradients_of = [
            [_gradient(parameter) for parameter in parameters]
            for parameters in (self._stack.weights, self._stack.biases)
        ]
        for name, gradient in named_as_plain(*gradients_of).items():
            self._by_arm(f"gradient_{name}", gradient)
        self._watch.add(update.layers)
        self._watch.check()
        right = update.logits.argmax(-1) == update.batch.target
        self._stand(
            train=[
                Score(float(loss), float(is_right))
                for loss, is_right in zip(update.losses[:, 0], right[:, 0], strict=True)
            ]
        )
        self._watch = Watch(self._stack)

    def trace(self) -> Trace:
        """Everything so far."""
        arrays = {name: np.stack(rows) for name, rows in self._rows.items()}
        arrays["samples/x"] = self._reference.x[0].numpy()
        arrays["samples/target"] = self._reference.target[0].numpy()
        return Trace(arrays, {arm: tuple(r) for arm, r in zip(ARMS, self._records, strict=True)})

    def _stand(self, train: Sequence[Score] | None) -> None:
        """Record the current parameters and units, between two updates."""
        for name, values in named_as_plain(self._stack.weights, self._stack.biases).items():
            self._by_arm(name, values)
        self._look()
        states = StateCount(len(ARMS), WIDTHS, CPU)
        scores = evaluate(
            self._stack,
            [self._reference],
            states=states,
            counted_twice=len(self._records[0]) % len(ARMS),
        )
        layers = self._watch.layers(states, is_trained=train is not None)
        for member, arm in enumerate(ARMS):
            for index, name in enumerate(self._stack.layer_names[:-1]):
                self._rows[f"{arm}/{name}/fired"].append(states.states(index, member).fired)
            self._records[member].append(
                EpochRecord(
                    member=member,
                    epoch=len(self._records[member]),
                    layers=tuple(self._judged(layer, arm) for layer in layers[member]),
                    train=train[member] if train else None,
                    train_eval=scores[member],
                )
            )

    @torch.no_grad()
    def _look(self) -> None:
        """Record every z of the ten samples without masks, and h2's under every mask of h1."""
        x = self._reference.x
        plain: list[LayerPass] = []
        self._stack(x, trace=plain)
        for name, layer in zip(self._stack.layer_names, plain, strict=True):
            self._by_arm(f"{name}/evaluation_z", layer.z)
        masks = torch.cartesian_prod(*[torch.tensor([True, False])] * WIDTHS[0])
        # If nothing is ever dropped, every mask keeps everything.
        kept = masks.repeat_interleave(SAMPLES, dim=0) | (self._scales[0] == 1)
        masked: list[LayerPass] = []
        self._stack(x.repeat(1, len(masks), 1), [kept, None, None], trace=masked)
        self._by_arm("h2/mask_fired", (masked[1].z > 0).sum(1))

    def _judged(self, layer: LayerRecord, arm: str) -> LayerRecord:
        """The layer with its units that are dead under every mask; no mask comes before h1."""
        if layer.states is None:
            return layer
        dead = layer.states.dead
        if layer.name != "h1":
            dead = dead & (self._rows[f"{arm}/{layer.name}/mask_fired"][-1] == 0)
        return replace(layer, mask_dead=dead)

    def _by_arm(self, name: str, values: Tensor) -> None:
        """Keep a copy of the values of each arm; a batch axis of one is dropped."""
        for arm, value in zip(ARMS, values.detach(), strict=True):
            is_row = value.ndim > 1 and value.shape[0] == 1
            self._rows[f"{arm}/{name}"].append((value[0] if is_row else value).numpy().copy())


def _gradient(values: Tensor) -> Tensor:
    """The gradient from the update's backward pass; the toy never replays a graph."""
    if values.grad is None:
        raise ValueError("an update must leave gradients, got none")
    return values.grad
