"""What the terminal shows while networks train: lines, a bar, the time left, the best."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from pipeline.config.recipe import Recipe
from pipeline.console import Console, State
from pipeline.records import EpochRecord
from pipeline.records.words import counted


@dataclass(eq=False)
class Pace:
    """How far one stack is in its epoch. Called with every update, so it only counts.

    Attributes:
        updates_per_epoch: how many there are.
        networks: how many are still going.
        updates: how many were made.
    """

    updates_per_epoch: int
    networks: int
    updates: int = 0

    def __call__(self, updates: int = 1) -> None:
        """Count so many updates."""
        self.updates += updates

    @property
    def epochs(self) -> float:
        """What is done of this epoch, in epochs of a network."""
        return self.networks * min(1.0, self.updates / self.updates_per_epoch)


class Progress:
    """Counts the epochs of all networks; several threads may report to it.

    The share that is done counts each epoch of each network, the untrained one included, and the
    end of its run as one more.
    """

    def __init__(self, console: Console, recipes: Sequence[Recipe], names: Sequence[str]) -> None:
        """Start with nothing done.

        Args:
            console: where lines are shown.
            recipes: of all networks that are to be trained.
            names: of these, for people.
        """
        self._console = console
        self._short = _short(names)
        self._networks = len(recipes)
        self._parts = sum(recipe.epochs + 2 for recipe in recipes)
        self._paces: list[Pace] = []
        self._reached: dict[str, int] = {}
        self._before = 0
        self._finished = 0
        self._last = ""
        self._best: tuple[float, str] | None = None
        self._started = time.perf_counter()
        self._lock = threading.Lock()

    def state(self) -> State:
        """How far all of them are together."""
        with self._lock:
            share = self._done() / self._parts if self._parts else 1.0
            parts = [self._last, f"{self._finished} of {self._networks} finished", self._left()]
            if self._best:
                parts.append(f"best {100 * self._best[0]:.2f} % ({self._best[1]})")
        return State(share=share, note=" · ".join(filter(None, parts)))

    @contextmanager
    def pace(self, *, networks: int, updates_per_epoch: int) -> Iterator[Pace]:
        """What counts the updates of one stack between its epochs, while the block runs."""
        pace = Pace(updates_per_epoch, networks)
        with self._lock:
            self._paces.append(pace)
        try:
            yield pace
        finally:
            with self._lock:
                self._paces.remove(pace)

    def go_on(self, name: str, recipe: Recipe, record: EpochRecord) -> None:
        """Count what an earlier process has done of a network, up to this record."""
        with self._lock:
            self._before += self._reach(name, recipe, record)

    def epoch(
        self,
        recipes: Sequence[Recipe],
        names: Sequence[str],
        records: Sequence[EpochRecord],
        pace: Pace | None = None,
    ) -> None:
        """Show an epoch of a stack.

        Args:
            recipes: of the whole stack.
            names: of its networks, for people.
            records: of those networks that were still going.
            pace: of the stack.
        """
        with self._lock:
            if pace:
                pace.updates = 0
                pace.networks = sum(record.ending is None for record in records)
            for record in records:
                recipe, name = recipes[record.member], names[record.member]
                self._reach(name, recipe, record)
                self._take_best(recipe, name, record)
            self._last = f"epoch {records[0].epoch} of {recipes[0].epochs}"
            if self._networks == 1:
                self._console.line(_line(recipes[0], records[0]))
            else:
                self._console.line(self._summary(recipes, names, records))

    def finished(self) -> None:
        """Count a network whose run has ended."""
        with self._lock:
            self._finished += 1

    def _done(self) -> float:
        under_way = sum((pace.epochs for pace in self._paces), 0.0)
        return sum(self._reached.values()) + under_way + self._finished

    def _left(self) -> str:
        """About how long the rest takes, at the pace of what this process has done."""
        done = self._done()
        if done <= self._before or done >= self._parts:
            return ""
        elapsed = time.perf_counter() - self._started
        return f"about {_duration(elapsed / (done - self._before) * (self._parts - done))} left"

    def _reach(self, name: str, recipe: Recipe, record: EpochRecord) -> int:
        """How many epochs a network is further than it was; an early end leaves the others out."""
        before = self._reached.get(name, 0)
        now = max(before, 1 + (recipe.epochs if record.ending else record.epoch))
        self._reached[name] = now
        return now - before

    def _take_best(self, recipe: Recipe, name: str, record: EpochRecord) -> None:
        score = record.validation
        # Nothing is chosen by the test set, not even for a line on a terminal, and an untrained
        # network is no best one.
        if not (score and recipe.holdout and record.epoch):
            return
        if self._best is None or score.accuracy > self._best[0]:
            self._best = (score.accuracy, self._short.get(name, name))

    def _summary(
        self, recipes: Sequence[Recipe], names: Sequence[str], records: Sequence[EpochRecord]
    ) -> str:
        recipe = recipes[0]
        name = names[records[0].member]
        alone = self._short.get(name, name)
        scores = [record.validation.accuracy for record in records if record.validation]
        ends = dict.fromkeys(f"{100 * score:.2f}" for score in (min(scores), max(scores)))
        parts = [
            f"epoch {records[0].epoch:>2}/{recipe.epochs}",
            alone if len(records) == 1 else counted(len(records), "network"),
            f"{recipe.validated_on} {' to '.join(ends)} %",
            self._left(),
        ]
        return "  ".join(filter(None, parts))


@contextmanager
def progress(
    console: Console, recipes: Sequence[Recipe], names: Sequence[str]
) -> Iterator[Progress]:
    """The progress of these networks, with a bar on a terminal while the block runs."""
    made = Progress(console, recipes, names)
    if not recipes:
        yield made
        return
    with console.progress(f"training {counted(len(recipes), 'network')}", made.state):
        yield made


def _short(names: Sequence[str]) -> dict[str, str]:
    """Each name without the words that all of them have."""
    words = [name.split() for name in dict.fromkeys(names)]
    shared = set.intersection(*map(set, words)) if words else set()
    return {" ".join(each): " ".join(w for w in each if w not in shared) for each in words}


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def _line(recipe: Recipe, record: EpochRecord) -> str:
    """One epoch of the only network, for the terminal."""
    parts = [f"epoch {record.epoch:>2}/{recipe.epochs}"]
    scores = (
        ("train", record.train_eval),
        (recipe.validated_on.removesuffix(" images"), record.validation),
    )
    parts += [
        f"{name} {score.loss:.4f} {100 * score.accuracy:.2f} %"
        for name, score in scores
        if score is not None
    ]
    states = [layer.states for layer in record.layers if layer.states is not None]
    if states:
        parts.append(f"dead {sum(int(state.dead.sum()) for state in states)}")
    if record.epoch_seconds is not None:
        parts.append(f"{record.epoch_seconds:.2f} s")
    return "  ".join(parts)
