"""What the terminal shows while networks train: lines, a bar, the time left, the best."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pipeline.config.recipe import Recipe
from pipeline.console import Advance, Console
from pipeline.records import EpochRecord

# More networks than these share one line per epoch.
MOST_LINES = 4


class Progress:
    """Counts the epochs of all networks; several threads may report to it."""

    def __init__(self, console: Console, recipes: Sequence[Recipe], advance: Advance) -> None:
        """Start with nothing done.

        Args:
            console: where lines are shown.
            recipes: of all networks that are to be trained.
            advance: moves the bar on.
        """
        self._console = console
        self._networks = len(recipes)
        self._epochs = _epochs(recipes)
        self._advance = advance
        self._done = 0
        self._reached: dict[str, int] = {}
        self._finished = 0
        self._best: tuple[float, str] | None = None
        self._started = time.perf_counter()
        self._lock = threading.Lock()

    def go_on(self, name: str, recipe: Recipe, record: EpochRecord) -> None:
        """Count what an earlier process has done of a network, up to this record."""
        with self._lock:
            self._advance(self._reach(name, recipe, record))

    def epoch(
        self, recipes: Sequence[Recipe], names: Sequence[str], records: Sequence[EpochRecord]
    ) -> None:
        """Show an epoch of a stack.

        Args:
            recipes: of the whole stack.
            names: of its networks, for people.
            records: of those networks that were still going.
        """
        with self._lock:
            self._done += len(records)
            further = 0
            for record in records:
                recipe, name = recipes[record.member], names[record.member]
                further += self._reach(name, recipe, record)
                self._take_best(recipe, name, record)
                if len(recipes) <= MOST_LINES:
                    self._console.line(_line(recipe, name, record))
            if len(recipes) > MOST_LINES:
                self._console.line(self._summary(recipes, records))
            self._advance(further, self._note())

    def finished(self) -> None:
        """Count a network whose run has ended."""
        with self._lock:
            self._finished += 1
            self._advance(0, self._note())

    def _reach(self, name: str, recipe: Recipe, record: EpochRecord) -> int:
        """How many epochs a network is further than it was; an early end leaves the others out."""
        before = self._reached.get(name, 0)
        now = max(before, 1 + (recipe.epochs if record.ending else record.epoch))
        self._reached[name] = now
        return now - before

    def _take_best(self, recipe: Recipe, name: str, record: EpochRecord) -> None:
        score = record.validation
        # Nothing is chosen by the test set, not even for a line on a terminal.
        if recipe.holdout and score and (self._best is None or score.accuracy > self._best[0]):
            self._best = (score.accuracy, f"{name}, epoch {record.epoch}")

    def _summary(self, recipes: Sequence[Recipe], records: Sequence[EpochRecord]) -> str:
        scores = [record.validation.accuracy for record in records if record.validation]
        parts = [
            f"epoch {records[0].epoch:>2}/{recipes[0].epochs}  {len(records)} networks",
            f"{recipes[0].validated_on} {100 * min(scores):.2f} to {100 * max(scores):.2f} %",
        ]
        if records[0].epoch_seconds is not None:
            parts.append(f"{records[0].epoch_seconds:.2f} s each")
        return "  ".join([*parts, self._note()])

    def _note(self) -> str:
        parts = [f"{self._finished}/{self._networks} networks finished"]
        left = self._epochs - sum(self._reached.values())
        if self._done and left:
            seconds = (time.perf_counter() - self._started) / self._done * left
            parts.append(f"about {_duration(seconds)} left")
        if self._best:
            parts.append(f"best so far {100 * self._best[0]:.2f} % ({self._best[1]})")
        return "  ".join(parts)


@contextmanager
def progress(console: Console, recipes: Sequence[Recipe]) -> Iterator[Progress]:
    """The progress of these networks, with a bar on a terminal while the block runs."""
    with console.progress("training", _epochs(recipes)) as advance:
        yield Progress(console, recipes, advance)


def _epochs(recipes: Sequence[Recipe]) -> int:
    """Of all of them together, epoch 0 included."""
    return sum(recipe.epochs + 1 for recipe in recipes)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def _line(recipe: Recipe, name: str, record: EpochRecord) -> str:
    """One epoch of one network, for the terminal."""
    parts = [f"{name}  epoch {record.epoch:>2}/{recipe.epochs}"]
    scores = (("train", record.train_eval), (recipe.validated_on, record.validation))
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
