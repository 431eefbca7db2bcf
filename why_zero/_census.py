"""What every ReLU unit of a module does over a reference set, in evaluation mode."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from why_zero._watch.generators import preserved
from why_zero._watch.isolation import refuse_compiled
from why_zero._watch.layer_counts import Names, by_unit
from why_zero._watch.pass_counts import PassCounts
from why_zero._watch.recorder import Hidden, Recorder, watched_modules
from why_zero.errors import WhyZeroError
from why_zero.identities import check_dead
from why_zero.records import UnitStates

_Run = Callable[[nn.Module, Any], object]


def census(
    module: nn.Module, batches: Iterable[Any], *, run: _Run | None = None
) -> dict[str, UnitStates]:
    """The states of every ReLU layer's units over a reference set, by name, in order of call.

    The passes are made in evaluation mode; they leave training flags, gradients and generators as
    they were. `samples` of the result are the pairs of a unit: of a convolution, samples times
    positions. `reached` is asked of the network itself: the gradient of a fixed mixture of all its
    outputs is exactly 0 where no later layer lets anything through. In a chain of layers that is
    the definition of starved; with skip connections it is what the definition means.

    Args:
        module: the network.
        batches: the reference set: tensors, or tuples that begin with one, moved to the
            module's device.
        run: how the module is called on a batch, where `module(inputs)` is not it; it gives
            what the network puts out (tensors, in tuples, lists or dictionaries).

    Raises:
        WhyZeroError: no batch, no ReLU or no output that can be differentiated, a part that is
            compiled or scripted, something was dropped although this is evaluation mode, or
            values that are not finite.
        BrokenIdentity: a unit counted as dead gets a gradient.
    """
    return named_census(module, batches, names=Names(), run=run)


def named_census(
    module: nn.Module, batches: Iterable[Any], *, names: Names, run: _Run | None
) -> dict[str, UnitStates]:
    """As `census`, with layers named as they were in earlier passes."""
    refuse_compiled(module)
    sums: dict[str, _Sum] = {}
    devices = {tensor.device for tensor in module.parameters()}
    with preserved(devices), _evaluating(module):
        for batch in batches:
            _count(module, batch, names=names, run=run, sums=sums)
    if not sums:
        raise WhyZeroError(
            "a census must see batches and layers with ReLU, got none: give the images "
            "trained on, and a module that calls relu"
        )
    if run is None:
        for name, total in sums.items():
            check_dead(name, (torch.from_numpy(total.fired) == 0)[None], total.row_gradients[None])
    return {name: total.states() for name, total in sums.items()}


def _count(
    module: nn.Module,
    batch: Any,  # noqa: ANN401
    *,
    names: Names,
    run: _Run | None,
    sums: dict[str, "_Sum"],
) -> None:
    """Add one batch: forward, and back to every ReLU."""
    pass_counts = PassCounts(names)
    recorder = Recorder(module, pass_counts, is_census=True)
    with recorder, watched_modules(recorder):
        output = run(module, batch) if run else module(_inputs(batch, module))
    if not pass_counts.is_finite:
        raise WhyZeroError(
            "a census must see finite values, got NaN or infinity: count an earlier state"
        )
    lineage = pass_counts.lineage
    rows = {id(hidden): lineage.rows(hidden.module) for hidden in recorder.hidden}
    ends = [hidden.h for hidden in recorder.hidden if hidden.h.requires_grad]
    parameters = itertools.chain.from_iterable(rows.values())
    gradients = _gradients(output, [*ends, *parameters]) if ends else {}
    for hidden in recorder.hidden:
        units = hidden.layer.counts.shape[1]
        total = sums.setdefault(names.of(hidden.layer.key), _Sum(units))
        total.add(hidden, gradients.get(id(hidden.h)))
        for parameter in rows[id(hidden)]:
            if (gradient := gradients.get(id(parameter))) is not None:
                norms = gradient.detach().reshape(units, -1).abs().amax(1)
                total.row_gradients += norms.double().cpu()


class _Sum:
    """Running sums of one layer."""

    def __init__(self, units: int) -> None:
        self.pairs = 0
        self.fired = np.zeros(units, np.int64)
        self.reached = np.zeros(units, np.int64)
        self.magnitude = np.zeros(units, np.float64)
        self.row_gradients = torch.zeros(units, dtype=torch.float64)

    def add(self, hidden: Hidden, gradient: Tensor | None) -> None:
        """Add a batch; a ReLU in front of which nothing can learn is reached by definition."""
        self.pairs += hidden.layer.pairs
        fired = hidden.layer.counts[0].cpu().numpy()
        self.fired += fired
        self.magnitude += hidden.magnitude.cpu().numpy()
        if not hidden.h.requires_grad:
            self.reached += fired
        elif gradient is not None:
            is_reached = hidden.is_open & (gradient != 0)
            self.reached += by_unit(is_reached, hidden.layer.axis).cpu().numpy()

    def states(self) -> UnitStates:
        """The sums as a record."""
        return UnitStates(
            samples=self.pairs,
            fired=self.fired,
            reached=self.reached,
            magnitude=self.magnitude / max(self.pairs, 1),
        )


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """A block in evaluation mode in which every parameter can be differentiated for."""
    was_training = {part: part.training for part in module.modules()}
    frozen = [p for p in module.parameters() if not p.requires_grad and p.is_floating_point()]
    try:
        module.eval()
        for parameter in frozen:
            parameter.requires_grad_(True)
        with torch.inference_mode(mode=False), torch.enable_grad():
            yield
    finally:
        for parameter in frozen:
            parameter.requires_grad_(False)
        for part, training in was_training.items():
            part.training = training


def _inputs(batch: Any, module: nn.Module) -> Tensor:  # noqa: ANN401
    """What a batch gives the module."""
    first = batch[0] if isinstance(batch, tuple | list) and batch else batch
    if not isinstance(first, Tensor):
        raise WhyZeroError(
            "a batch must be a tensor or a tuple that begins with one, got "
            f"{type(first).__name__}: say how to call the module with run=lambda module, batch: …"
        )
    # A tensor of inference mode may not be saved for a backward pass.
    first = first.clone() if first.is_inference() else first
    parameter = next(module.parameters(), None)
    return first if parameter is None else first.to(parameter.device)


def _gradients(output: object, ends: list[Tensor]) -> dict[int, Tensor | None]:
    """The gradient of a fixed mixture of the outputs, by the id of what it is for."""
    total: Tensor | None = None
    for tensor in _tensors(output):
        # Irregular weights, so that no output cancels another; nothing is drawn for them.
        weights = torch.arange(1, tensor.numel() + 1, device=tensor.device).cos()
        part = (tensor.flatten().float() * weights).sum()
        total = part if total is None else total + part
    if total is None:
        raise WhyZeroError(
            "a census must see an output that can be differentiated, to tell which units a "
            "gradient reaches, got none: return the logits with run=lambda module, batch: …"
        )
    found = torch.autograd.grad(total, ends, allow_unused=True)
    return {id(end): gradient for end, gradient in zip(ends, found, strict=True)}


def _tensors(output: object) -> Iterator[Tensor]:
    if isinstance(output, Tensor):
        if output.requires_grad:
            yield output
    elif isinstance(output, dict):
        for value in output.values():
            yield from _tensors(value)
    elif isinstance(output, tuple | list):
        for value in output:
            yield from _tensors(value)
