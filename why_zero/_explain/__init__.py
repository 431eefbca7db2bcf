"""Everything that the instrument can say about a network and its data, and what to try."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from why_zero._census import inputs_of
from why_zero._compact import Compacted, compact, dead_units
from why_zero._explain import advice, page
from why_zero._explain.advice import ENOUGH_SAMPLES, Advice, Owner
from why_zero._explain.page import Part
from why_zero._passes import Run, copied
from why_zero._watch.generators import preserved
from why_zero.errors import WhyZeroError, in_one_line
from why_zero.probe import ZeroProbe
from why_zero.records import UnexplainedZeros, UnitStates, WatchedLayer, unit_ids_of
from why_zero.report.text import counted

__all__ = ["Advice", "Explanation", "Owner", "Part", "explain"]

_BATCH = 256


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """Why the activations of a network are zero over a set of samples.

    Attributes:
        name: the network's class.
        parts: its modules with parameters of their own.
        parameters: how many numbers are in all of them; what is shared counts once.
        samples: how many were given.
        passes: how often the training passes went through them.
        training: what every layer did in training mode, by name, in order of call.
        evaluation: likewise in evaluation mode, once through the samples.
        states: what every unit does over the samples, in evaluation mode; empty where no census
            could be taken, and the notes say why.
        owners: the modules whose weights make units with a ReLU, and which of these are dead.
        compacted: the network without its dead units; None where none can be removed.
        unexplained: zeros of training passes that no layer accounts for, most first.
        evaluation_unexplained: likewise of evaluation passes.
        notes: what could not be counted, and why, by name.
        advice: what to try; empty where nothing was found.
    """

    name: str
    parts: tuple[Part, ...]
    parameters: int
    samples: int
    passes: int
    training: Mapping[str, WatchedLayer]
    evaluation: Mapping[str, WatchedLayer]
    states: Mapping[str, UnitStates]
    owners: tuple[Owner, ...]
    compacted: Compacted | None
    unexplained: tuple[UnexplainedZeros, ...]
    evaluation_unexplained: tuple[UnexplainedZeros, ...]
    notes: Mapping[str, str]
    advice: tuple[Advice, ...]

    @property
    def is_whole(self) -> bool:
        """Whether a census was taken, over samples enough to conclude something about units."""
        return bool(self.states) and self.samples >= ENOUGH_SAMPLES

    def html(self) -> str:
        """One HTML file that works alone: it loads nothing and runs nothing."""
        sections = [
            page.summary(
                self.training, self.owners, samples=self.samples, has_states=bool(self.states)
            ),
            page.advised(self.advice, is_whole=self.is_whole),
            page.network(self.parts, self.parameters),
            page.causes(self.training, self.evaluation, passes=self.passes),
            page.census(self.states, self.samples),
            page.dead(self.owners, self.compacted),
            page.unexplained(self.unexplained, self.evaluation_unexplained),
            page.noted(self.notes),
        ]
        return page.whole(f"Why are activations of {self.name} zero?", sections)


def explain(
    module: nn.Module,
    batches: Tensor | Iterable[Any],
    *,
    passes: int = 1,
    run: Run | None = None,
) -> Explanation:
    """Why the activations of a network are zero over these samples, and what to try about it.

    Everything is done on copies of the module: training passes (which move the running means of
    batch norms), evaluation passes, a census, and the removal of dead units. The module and the
    global generators are as before. Nothing is trained, and no gradient is kept.

    Args:
        module: the network; copy.deepcopy must be able to copy it.
        batches: the samples: a tensor, or batches (tensors, or tuples that begin with one), which
            are moved to the module's device. All of them are kept in memory.
        passes: how often to go through them in training mode, each time with other dropout masks.
        run: how the module is called on a batch, where `module(inputs)` is not it; it gives what
            the network puts out.

    Raises:
        WhyZeroError: there is no sample, `passes` is not positive, or the module cannot be copied,
            has lazy parameters or does not take the batches.
    """
    if isinstance(passes, bool) or not isinstance(passes, int) or passes < 1:
        raise WhyZeroError(f"passes must be a positive integer, got {passes!r}: 1 is enough to see")
    if any(map(is_lazy, module.parameters())):
        raise WhyZeroError(
            f"a module must have its parameters, got {type(module).__name__} with lazy ones: call "
            "it once on a batch first"
        )
    with preserved({parameter.device for parameter in module.parameters()}):
        held = _batches(batches)
        samples = sum(map(_length, held))
        if not samples:
            raise WhyZeroError("explain must see samples, got none: give some")
        evaluated = copied(module).eval()
        with ZeroProbe(evaluated) as evaluation:
            _passes(evaluated, held, run)
        trained = copied(module).train()
        with ZeroProbe(trained) as training:
            for _ in range(passes):
                _passes(trained, held, run)
        notes = training.notes | evaluation.notes
        set_aside = training.set_aside + evaluation.set_aside
        states: dict[str, UnitStates] = {}
        with _noted(notes, "the census"):
            states = evaluation.census(map(_fresh, held), run=run)
        dead = dead_units(states)
        compacted = None
        if run is None and any(dead.values()):
            with _noted(notes, "removing dead units"):
                compacted = compact(copied(module), dead, list(map(_fresh, held)))
                for kept in compacted.kept:
                    units = counted(len(kept.units), "dead unit")
                    notes[f"{kept.layer}, removing dead units"] = f"{units} kept: {kept.reason}"
    modules = dict(evaluated.named_modules())
    owners = tuple(_owner(path, modules[path], states, units) for path, units in dead.items())
    # These notes repeat what the unexplained say.
    for left in (*training.unexplained, *evaluation.evaluation_unexplained):
        for place in ("training", "evaluation"):
            notes.pop(f"{left.made_by} ({place})", None)
    return Explanation(
        name=type(module).__name__,
        parts=_parts(evaluated),
        parameters=sum(parameter.numel() for parameter in evaluated.parameters()),
        samples=samples,
        passes=passes,
        training=training.layers,
        evaluation=evaluation.evaluation_layers,
        states=states,
        owners=owners,
        compacted=compacted,
        unexplained=tuple(training.unexplained),
        evaluation_unexplained=tuple(evaluation.evaluation_unexplained),
        notes=notes,
        advice=tuple(
            found
            for found in (
                advice.not_finite(set_aside, len(held) * (passes + 1)),
                *(
                    advice.dropped_in_evaluation(each)
                    for each in evaluation.evaluation_layers.values()
                ),
                *(advice.many_dead(owner, samples) for owner in owners),
                *(advice.starved(name, each, samples) for name, each in states.items()),
                *(advice.linear(name, each, samples) for name, each in states.items()),
                *(advice.sparse_dropout(layer) for layer in training.layers.values()),
                *([advice.removable(compacted, samples)] if compacted else []),
                *map(advice.zeros_from, training.unexplained),
            )
            if found
        ),
    )


@contextmanager
def _noted(notes: dict[str, str], name: str) -> Iterator[None]:
    """A block whose failure is a note: the rest can be said without it."""
    try:
        yield
    except WhyZeroError as error:
        notes[name] = str(error)


def _batches(batches: Tensor | Iterable[Any]) -> list[Any]:
    """The same batches for all that is done with them."""
    if isinstance(batches, Tensor):
        # Of even sizes: batch norm does not take a last batch of one sample.
        return list(batches.tensor_split(-(-len(batches) // _BATCH) or 1))
    return list(batches)


def _fresh(batch: Any) -> Any:  # noqa: ANN401
    """A copy of a batch: a forward may write to its input."""
    if isinstance(batch, Tensor):
        return batch.detach().clone()
    if type(batch) in {tuple, list}:
        return type(batch)(map(_fresh, batch))
    return batch


def _length(batch: Any) -> int:  # noqa: ANN401
    """How many samples a batch holds; 1 where that cannot be told."""
    if isinstance(batch, tuple | list | dict):
        values = list(batch.values() if isinstance(batch, dict) else batch)
        return _length(values[0]) if values else 0
    return len(batch) if isinstance(batch, Tensor) and batch.ndim else 1


def _passes(module: nn.Module, batches: Sequence[Any], run: Run | None) -> None:
    """One pass a batch, without gradients."""
    for batch in map(_fresh, batches):
        try:
            with torch.no_grad():
                _ = run(module, batch) if run else module(inputs_of(batch, module))
        except WhyZeroError:
            raise
        except Exception as error:  # whatever somebody's module raises
            mode = "training" if module.training else "evaluation"
            raise WhyZeroError(
                f"{type(module).__name__} must take the batches, got {in_one_line(error)} in "
                f"{mode} mode{_shape(batch)}: give what it takes"
            ) from error


def _shape(batch: Any) -> str:  # noqa: ANN401
    first = batch[0] if isinstance(batch, tuple | list) and batch else batch
    if not isinstance(first, Tensor):
        return ""
    kind = str(first.dtype).removeprefix("torch.")
    return f" for {kind} of shape {tuple(first.shape)}"


def _parts(module: nn.Module) -> tuple[Part, ...]:
    return tuple(
        Part(path=path, kind=type(part).__name__, parameters=count)
        for path, part in module.named_modules()
        if (count := sum(each.numel() for each in part.parameters(recurse=False)))
    )


def _owner(
    path: str, module: nn.Module, states: Mapping[str, UnitStates], dead: Sequence[int]
) -> Owner:
    seen = [state for state in states.values() if state.source == path and not state.near_zero]
    units = {unit for state in seen for unit in unit_ids_of(state)}
    alive = sorted(units - set(dead))
    low_biases = None
    bias = getattr(module, "bias", None)
    if isinstance(bias, Tensor) and alive and max(units) < len(bias):
        biases = bias.detach()
        low_biases = int((biases[list(dead)] < biases[alive].min().clamp(max=0)).sum())
    return Owner(
        path=path,
        kind=type(module).__name__,
        units=len(units),
        dead=tuple(dead),
        low_biases=low_biases,
    )
