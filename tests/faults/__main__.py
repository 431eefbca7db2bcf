"""Disturbs every step at every place: `python -m tests.faults --trials 1000 --step sweep`.

Which places and which faults follow from the seed and the step alone. What is found is printed at
once, and the counts at the end; the exit code is 1 if something was lost, doubled, wrong, left
over or not told in a line.
"""

import itertools
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click

from tests.faults.injection import Fault, kinds_at
from tests.faults.steps import STEPS, needed
from tests.faults.trials import EXACT, Laboratory, Verdict

# In memory, where there is such a disk: a trial writes and synchronises much.
_FAST = Path("/dev/shm")  # noqa: S108 - as a folder for folders of its own
_SHOWN = 3  # faults of one trial


def faults(places: list[str], count: int, source: random.Random) -> list[Fault]:
    """So many of the faults that can happen at these places, or all of them.

    Args:
        places: as `Injection.places`.
        count: the most.
        source: draws which.
    """
    every = [
        Fault(number, kind, is_lasting)
        for number, place in enumerate(places, start=1)
        for kind in kinds_at(place)
        for is_lasting in ((False,) if kind.startswith("kill") else (False, True))
    ]
    return every if len(every) <= count else source.sample(every, count)


def tell(step: str, verdict: Verdict) -> None:
    """Print what is wrong about a trial."""
    click.echo(f"{step}, {verdict.fault} ({verdict.place}):")
    for fault in verdict.faults[:_SHOWN]:
        click.echo(f"  {fault}")
    if more := len(verdict.faults) - _SHOWN:
        click.echo(f"  and {more} more" if more > 0 else "", nl=more > 0)
    said = verdict.said.strip().splitlines()
    click.echo(f"  it said: {said[-1][:300] if said else 'nothing'}")


def campaign(steps: list[str], trials: int, *, seed: int, seconds: float) -> bool:
    """Disturb these steps in turn; whether all trials were exact.

    Args:
        steps: their names.
        trials: the most of each step.
        seed: draws which.
        seconds: no trial begins later than that.
    """
    started = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="faults-", dir=_FAST if _FAST.is_dir() else None))
    laboratory = Laboratory(folder)
    places: dict[str, int] = {}
    counts: dict[str, Counter[tuple[str, str]]] = {step: Counter() for step in steps}
    try:
        laboratory.warm(needed(steps))
        for step, fault in in_turn(laboratory, steps, trials, seed=seed):
            if time.monotonic() - started > seconds:
                break
            places[step] = len(laboratory.places(step))
            verdict = laboratory.trial(step, fault)
            counts[step][fault.kind, verdict.kind] += 1
            if verdict.faults:
                tell(step, verdict)
    finally:
        laboratory.close()
        shutil.rmtree(folder, ignore_errors=True)
        for step, many in places.items():
            _table(step, many, counts[step])
    total: Counter[str] = Counter()
    for of_step in counts.values():
        for (_, what), many in of_step.items():
            total[what] += many
    click.echo(f"all: {_counts(total)}, {time.monotonic() - started:.0f} s")
    return set(total) <= {EXACT}


def in_turn(
    laboratory: Laboratory, steps: list[str], trials: int, *, seed: int
) -> Iterator[tuple[str, Fault]]:
    """A fault of each step, then another of each, until none has any more."""
    drawn = [
        [(step, fault) for fault in faults(laboratory.places(step), trials, source)]
        for step in steps
        for source in [random.Random(f"{step}/{seed}")]  # noqa: S311
    ]
    for several in itertools.zip_longest(*drawn):
        yield from filter(None, several)


def _table(step: str, places: int, by_kind: Counter[tuple[str, str]]) -> None:
    """Print the counts of a step."""
    lines = []
    total: Counter[str] = Counter()
    for kind in sorted({kind for kind, _ in by_kind}):
        counts = Counter({what: many for (of, what), many in by_kind.items() if of == kind})
        lines.append(f"  {kind:<12} {_counts(counts)}")
        total += counts
    click.echo("\n".join([f"{step}: {places} places, {_counts(total)}", *lines]))


def _counts(counts: Counter[str]) -> str:
    """How many trials there were, and what became of them."""
    wrong = [f"{many} {what}" for what, many in sorted(counts.items()) if what != EXACT]
    return f"{counts.total()} tried, {counts[EXACT]} exact, {', '.join(wrong) or '0 otherwise'}"


@click.command()
@click.option("--trials", default=100, help="The most trials of each step.")
@click.option("--step", "steps", multiple=True, type=click.Choice(list(STEPS)))
@click.option("--seed", default=0, help="Draws which.")
@click.option("--seconds", default=1e9, help="Begin no trial later than that.")
def main(trials: int, steps: tuple[str, ...], seed: int, seconds: float) -> None:
    """Disturb each step, or those that are named."""
    is_exact = campaign(list(steps or STEPS), trials, seed=seed, seconds=seconds)
    sys.exit(0 if is_exact else 1)


if __name__ == "__main__":
    main()
