"""`with ZeroProbe(module)`: why the activations of anybody's module are zero."""

import random
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from types import TracebackType
from typing import Any

import torch
from torch import nn

from why_zero._census import named_census
from why_zero._keyed import KeyedSums, ModeSums, added, merged, most_first
from why_zero._passes import Run
from why_zero._watch.backward import MaskWatch
from why_zero._watch.isolation import is_captured, is_foreign, is_recomputing, unseen
from why_zero._watch.layer_counts import Key, Names
from why_zero._watch.module_calls import Outputs, listening, watched
from why_zero._watch.pass_counts import PassCounts
from why_zero._watch.recorder import Recorder
from why_zero._watch.sums import LayerSum
from why_zero.errors import BrokenIdentity, WhyZeroError, in_one_line
from why_zero.findings import Findings
from why_zero.records import UnexplainedZeros, UnitStates, WatchedLayer, ZeroCauses
from why_zero.report import html, text


class ZeroProbe:
    """Watches the passes that a module makes inside a `with` block, and changes none of them.

        with ZeroProbe(model, every=20) as probe:
            train(model)
        print(probe.report())
        probe.causes()["relu1"].share("dropped")

    It makes no pass and draws no random number of its own: training is the same bit by bit with
    it and without. It keeps sums by unit, never activations, and raises nothing into the passes
    that it watches: what it cannot count it notes. After the block everything is as it was.

    Every zero is accounted for. Where activations meet weights, and where they leave the module,
    the zeros that are there are compared with those that were explained; the rest is reported as
    unexplained, with the call that made it.

    Attributes:
        notes: why some call cannot be explained, by name.
        set_aside: passes that held NaN or infinity and were not counted.
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        every: int = 1,
        strict: bool = False,
        unit_axis: int | Mapping[str, int] | None = None,
    ) -> None:
        """Be ready to watch.

        Args:
            module: the network, or a part of it, that is called as `module(...)`.
            every: watch one of every so many training passes (and, counted by itself, of every so
                many evaluation passes): the first, and later ones at random places, so that passes
                of different kinds that take turns are all seen. The probe has a generator of its
                own for that.
            strict: raise what goes wrong in the instrument, `BrokenIdentity` above all, from within
                the pass, instead of noting it.
            unit_axis: the axis that numbers the units, for all layers or by name of the call, where
                the one that the probe finds is not what you mean.

        Raises:
            WhyZeroError: `module` is none, or `every` is not positive.
        """
        if not isinstance(module, nn.Module):
            raise WhyZeroError(
                f"module must be a torch.nn.Module, got {type(module).__name__}: wrap the function "
                "in a module's forward"
            )
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            raise WhyZeroError(f"every must be a positive integer, got {every!r}: 1 watches all")
        self.notes: dict[str, str] = {}
        self.set_aside = 0
        self._module = module
        self._every = every
        self._strict = strict
        self._unit_axis = unit_axis
        self._names = Names(module)
        self._sums: dict[bool, dict[Key, LayerSum]] = {True: {}, False: {}}
        self._unexplained: dict[bool, dict[tuple[str, str], UnexplainedZeros]]
        self._unexplained = {True: {}, False: {}}
        self._turns = {is_training: _Turns(every) for is_training in (True, False)}
        self._closed = KeyedSums()
        self._history: list[KeyedSums] = []
        self._gradients = MaskWatch(self._guarded)
        self._is_watching = False
        self._open = ExitStack()
        # Passes in several threads are several passes; their counts are added one at a time.
        self._here = _Here()
        self._lock = threading.RLock()

    def start(self) -> None:
        """Begin to watch, where a loop cannot stand in a `with` block: `stop` ends it.

        Raises:
            WhyZeroError: the probe is watching already.
        """
        if self._is_watching:
            raise WhyZeroError("a probe must be left before it is entered again: use another one")
        if is_foreign(self._module):
            self.notes["the module"] = (
                "compiled or scripted code runs without the calls that a probe watches: not "
                "counted (watch the module from before torch.compile, and call that one)"
            )
        self._is_watching = True
        self._open.enter_context(watched(self._module, self._watching, stray=self._stray))

    def stop(self) -> None:
        """Leave everything as it was, and test what was counted.

        Raises:
            BrokenIdentity: a measurement contradicts itself, and the probe is strict.
        """
        self._leave()
        with self._lock:
            self._guarded("the end", self._check)

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy, perhaps with a module that holds its probe, is one that has seen nothing yet."""
        again = partial(
            ZeroProbe, every=self._every, strict=self._strict, unit_axis=self._unit_axis
        )
        return again, (self._module,)

    def __enter__(self) -> "ZeroProbe":  # noqa: PYI034 beartype, in the tests, does not take Self
        """Begin to watch: as `start`."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave everything as it was, and test what was counted: as `stop`."""
        if kind is None:
            self.stop()
        else:
            self._leave()

    @property
    def calls(self) -> int:
        """How many passes the module made, watched or not."""
        return sum(turns.calls for turns in self._turns.values())

    @property
    def layers(self) -> dict[str, WatchedLayer]:
        """What every layer did in training passes, by name, in order of call.

        Raises:
            WhyZeroError: no pass was seen.
        """
        return self._layers(is_training=True)

    @property
    def evaluation_layers(self) -> dict[str, WatchedLayer]:
        """What every layer did in evaluation passes, by name, in order of call.

        Raises:
            WhyZeroError: no pass was seen.
        """
        return self._layers(is_training=False)

    @property
    def unexplained(self) -> list[UnexplainedZeros]:
        """Zeros of training passes that no layer accounts for, most first."""
        return list(most_first(self._unexplained[True]))

    @property
    def evaluation_unexplained(self) -> list[UnexplainedZeros]:
        """Zeros of evaluation passes that no layer accounts for, most first."""
        return list(most_first(self._unexplained[False]))

    def causes(self) -> dict[str, ZeroCauses]:
        """Why the activations of every layer were zero in training passes, by name.

        Raises:
            WhyZeroError: no pass was seen.
        """
        return {name: layer.causes for name, layer in self.layers.items()}

    def next_epoch(self, *, keep: bool = True) -> Findings:
        """Close an epoch, and give what was counted in it: since the last call, or the beginning.

        `layers` and everything else of the probe go on over the whole block.

        Args:
            keep: whether `history` holds on to it, with five integers for every unit.
        """
        with self._lock:
            now = self._sums_so_far()
            epoch = now.since(self._closed)
            self._closed = now
            if keep:
                self._history.append(epoch)
            return epoch.named(self._names)

    @property
    def history(self) -> list[Findings]:
        """The epochs that were closed and kept, in order, each with the layers that were seen."""
        with self._lock:
            return [epoch.named(self._names) for epoch in self._history]

    def merge_ranks(self) -> Findings:
        """The exact sums over all ranks of `torch.distributed`; each must call this, and gets them.

        A process alone is the only rank. A layer is there if any rank has seen it. With NCCL, every
        rank must have set its device, as `torch.distributed.all_gather_object` asks for.
        """
        with self._lock:
            mine = self._sums_so_far()
        ranks: list[Any] = [mine]
        distributed = torch.distributed
        if distributed.is_available() and distributed.is_initialized():
            ranks = [None] * distributed.get_world_size()
            distributed.all_gather_object(ranks, mine)
        total = merged(ranks)
        with self._lock:
            for key in (*total.training.layers, *total.evaluation.layers):
                self._names.add(key)
            return total.named(self._names)

    def scalars(self, prefix: str = "why_zero/") -> dict[str, float]:
        """Shares by name, such as `why_zero/dropped/relu`: see `Findings.scalars`.

        One line logs them: `wandb.log(probe.scalars())`, `mlflow.log_metrics(probe.scalars())`.
        """
        return self._findings().scalars(prefix)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the counts of single units, in types that JSON has."""
        return self._findings().to_dict()

    def to_pandas(self) -> Any:  # noqa: ANN401 a DataFrame, for those who have pandas
        """A `pandas.DataFrame` with a row for each layer in each mode: see `Findings.to_pandas`.

        Raises:
            WhyZeroError: pandas is not installed.
        """
        return self._findings().to_pandas()

    def report(self, *, worst: int | None = None) -> str:
        """Everything that was found, as a table for a terminal with notes below.

        Training passes are shown, or evaluation passes where there was no other.

        Args:
            worst: show so many layers only, those with the largest share of zeros first.
        """
        return text.report(*self._found(), worst=worst)

    table = report

    def __str__(self) -> str:
        """The report."""
        return self.report()

    def _repr_html_(self) -> str:
        """The report, as a notebook shows it."""
        return html.report(*self._found())

    def census(
        self,
        batches: Iterable[Any],
        *,
        run: Run | None = None,
        near_zero: float = 1e-3,
    ) -> dict[str, UnitStates]:
        """What every unit does over a reference set, in evaluation mode, by layer.

        As `why_zero.census`, with the names that the layers have in this probe; inside the block
        these passes are not counted among the module's own.
        """
        self._here.is_census = True
        try:
            return named_census(
                self._module,
                batches,
                names=self._names,
                run=run,
                near_zero=near_zero,
                unit_axis=self._unit_axis,
            )
        finally:
            self._here.is_census = False

    @contextmanager
    def _watching(self, module: nn.Module, inputs: object) -> Iterator[Outputs]:
        """A block around one call of the module; its listeners call it."""
        has_graph = is_captured()
        if has_graph:
            self.notes["the module"] = (
                "a pass captured in a CUDA graph, and its replays: not counted"
            )
        # Checkpointing repeats in the backward pass what was counted.
        is_passed_over = has_graph or is_foreign(module) or is_recomputing()
        if is_passed_over or self._here.is_busy or self._here.is_census:
            yield Outputs()
            return
        is_training = module.training
        with self._lock:
            is_watched = self._turns[is_training].is_next_watched()
        self._here.is_busy = True
        try:
            if not is_watched:
                yield Outputs()
                return
            counts = PassCounts(
                self._names,
                unit_axis=self._unit_axis,
                is_checked=self._strict or self._turns[is_training].watched.bit_count() == 1,
            )
            recorder = Recorder(module, counts, guard=self._guarded, gradients=self._gradients)
            with listening(recorder.calling), recorder, recorder.calling(module, inputs) as outputs:
                self._guarded("the input", lambda: recorder.begin(inputs))
                yield outputs
            self._guarded("the output", lambda: recorder.end(outputs.value))
            self._guarded("the pass", lambda: self._add(recorder, is_training=is_training))
        finally:
            self._here.is_busy = False

    def _check(self) -> None:
        """Test what is due at the end."""
        self._report(self._gradients.broken())
        for layers in self._sums.values():
            for key, layer in layers.items():
                self._report(layer.check(self._names.of(key)))

    def _stray(self, part: nn.Module) -> None:
        """A part of the module is called, and nobody watches that call."""
        if not self._here.is_busy and not is_recomputing():
            path = next((p for p, other in self._module.named_modules() if other is part), "")
            self.notes.setdefault(
                path, "called by itself, or in another thread than the module: not counted there"
            )

    def _leave(self) -> None:
        self._is_watching = False
        self._open.close()
        self._gradients.stop()

    def _guarded(self, name: str, part: Callable[[], Any]) -> Any:  # noqa: ANN401
        """Run a part of the instrument; what goes wrong in it is a note, unless it is strict."""
        try:
            return part()
        except Exception as error:
            if self._strict:
                raise
            self.notes[name] = f"not counted here: {in_one_line(error)}"
            return None

    def _add(self, recorder: Recorder, *, is_training: bool) -> None:
        """Add what a pass has counted."""
        counts = recorder.pass_counts
        with self._lock, unseen():
            if not self._is_watching:
                return
            self.notes |= recorder.notes
            broken = list(counts.settle())
            if not counts.is_finite:
                self.set_aside += 1
                return
            self._report(error for _, error in broken)
            self._report(self._gradients.broken())
            wrong = [layer for layer, _ in broken]
            layers = [
                layer for layer in counts.layers if not any(layer is other for other in wrong)
            ]
            for layer in layers:
                self._names.add(layer.key)
            sums = self._sums[is_training]
            for layer in layers:
                name = self._names.of(layer.key)
                if layer.key not in sums:
                    sums[layer.key] = LayerSum(layer)
                total = sums[layer.key]
                self._report(total.add(layer, name))
                if total.varies:
                    self.notes[name] = "its number of units changes: counted as one unit"
            for left in counts.remainders:
                if (zeros := int(left.zeros) - int(left.explained)) > 0:
                    self._leave_over(left.made_by, left.seen_at, zeros, left.values, is_training)

    def _leave_over(
        self, made_by: str, seen_at: str, zeros: int, values: int, is_training: bool
    ) -> None:
        left = UnexplainedZeros(
            made_by=made_by, seen_at=seen_at, zeros=zeros, values=values, passes=1
        )
        if was := self._unexplained[is_training].get((made_by, seen_at)):
            left = added(was, left)
        self._unexplained[is_training][made_by, seen_at] = left
        place = "training" if is_training else "evaluation"
        self.notes[f"{made_by} ({place})"] = (
            f"{left.zeros:,} of {left.values:,} values ({left.share:.1%}) that reach {seen_at} are "
            "zeros that no rule explains"
        )

    def _report(self, broken: Iterable[BrokenIdentity]) -> None:
        """Say what contradicts itself: an error in a strict probe, a note in another."""
        for error in broken:
            if self._strict:
                raise error
            self.notes[error.layer] = str(error)

    def _named(self, *, is_training: bool) -> list[WatchedLayer]:
        sums = self._sums[is_training]
        return [layer.layer(self._names.of(key)) for key, layer in sums.items()]

    def _found(self) -> tuple[list[WatchedLayer], dict[str, str]]:
        """The layers to report and the notes below them."""
        is_training = self._turns[True].calls > 0 or not self._turns[False].calls
        notes = dict(self.notes)
        if self.set_aside:
            notes["passes"] = f"{self.set_aside} held NaN or infinity and were not counted"
        if not self.calls:
            notes["passes"] = _UNSEEN
        return self._named(is_training=is_training), notes

    def _layers(self, *, is_training: bool) -> dict[str, WatchedLayer]:
        if not self.calls:
            raise WhyZeroError(_UNSEEN)
        return {layer.name: layer for layer in self._named(is_training=is_training)}

    def _findings(self) -> Findings:
        with self._lock:
            return self._sums_so_far().named(self._names)

    def _sums_so_far(self) -> KeyedSums:
        training, evaluation = (
            ModeSums(
                {key: layer.layer("") for key, layer in self._sums[is_training].items()},
                dict(self._unexplained[is_training]),
            )
            for is_training in (True, False)
        )
        return KeyedSums(training, evaluation, dict(self.notes), self.set_aside)


class _Turns:
    """Which passes are watched: the first, and then one at random of every so many."""

    def __init__(self, every: int) -> None:
        self.calls = self.watched = 0
        self._every, self._pick = every, 0
        self._random = random.Random(0)  # noqa: S311 no secret

    def is_next_watched(self) -> bool:
        """Whether the pass that begins now is to be watched."""
        turn = self.calls % self._every
        if not turn and self.calls:
            self._pick = self._random.randrange(self._every)
        self.calls += 1
        self.watched += turn == self._pick
        return turn == self._pick


class _Here(threading.local):
    """What this thread is doing."""

    def __init__(self) -> None:
        self.is_busy = False  # inside a pass of the module
        self.is_census = False


_UNSEEN = (
    "a probe must see a pass before it can report, got none: call the module itself inside the "
    "block (not its forward, not a compiled form of it)"
)
