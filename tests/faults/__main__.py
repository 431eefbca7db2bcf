"""Disturbs every step at every place: `python -m tests.faults --trials 1000 --step sweep`.

Which places and which faults follow from the seed and the step alone. What is found is printed at
once, and the counts at the end; the exit code is 1 if something was lost, doubled, wrong, left
over or not told in a line.
"""

import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import click

from tests.faults.injection import Fault, kinds_at
from tests.faults.steps import STEPS
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


def campaign(steps: list[str], trials: int, seed: int) -> bool:
    """Disturb these steps; whether all trials were exact."""
    fast = _FAST if _FAST.is_dir() else None
    folder = Path(tempfile.mkdtemp(prefix="faults-", dir=fast))
    total: Counter[str] = Counter()
    try:
        laboratory = Laboratory(folder)
        laboratory.warm(list(STEPS))
        for step in steps:
            _, places = laboratory.reference(step)
            source = random.Random(f"{step}/{seed}")  # noqa: S311
            started, by_kind = time.monotonic(), Counter[tuple[str, str]]()
            for fault in faults(places, trials, source):
                verdict = laboratory.trial(step, fault)
                by_kind[fault.kind, verdict.kind] += 1
                if verdict.faults:
                    tell(step, verdict)
            total += _table(step, len(places), by_kind, time.monotonic() - started)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    click.echo(f"all: {_counts(total)}")
    return set(total) <= {EXACT}


def _table(
    step: str, places: int, by_kind: Counter[tuple[str, str]], seconds: float
) -> Counter[str]:
    """Print the counts of a step, and return them by verdict."""
    total: Counter[str] = Counter()
    lines = []
    for kind in dict.fromkeys(kind for kind, _ in by_kind):
        counts = Counter({verdict: many for (of, verdict), many in by_kind.items() if of == kind})
        lines.append(f"  {kind:<12} {_counts(counts)}")
        total += counts
    click.echo(f"{step}: {places} places, {_counts(total)}, {seconds:.0f} s")
    click.echo("\n".join(sorted(lines)))
    return total


def _counts(counts: Counter[str]) -> str:
    """How many trials there were, and what became of them."""
    wrong = [f"{many} {what}" for what, many in sorted(counts.items()) if what != EXACT]
    return f"{counts.total()} tried, {counts[EXACT]} exact, {', '.join(wrong) or '0 otherwise'}"


@click.command()
@click.option("--trials", default=100, help="The most trials of each step.")
@click.option("--step", "steps", multiple=True, type=click.Choice(list(STEPS)))
@click.option("--seed", default=0, help="Draws which.")
def main(trials: int, steps: tuple[str, ...], seed: int) -> None:
    """Disturb the STEPS, all of them if none is named."""
    sys.exit(0 if campaign(list(steps or STEPS), trials, seed) else 1)


if __name__ == "__main__":
    main()
