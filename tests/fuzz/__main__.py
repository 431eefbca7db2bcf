"""Feeds what comes from outside with changed files: `python -m tests.fuzz idx --count 1000000`.

Every input follows from its kind, the seed and its number alone. The invariants: an input is
accepted, or refused by an error of ours in one line, within the seconds and the memory that its
target states; the process lives. What breaks them is kept in `tests/fuzz/found/` and printed.
"""

import multiprocessing
import random
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

import click
import psutil

from tests.fuzz.targets import TARGETS, Target

FOUND = Path(__file__).parent / "found"
# Of one process: safetensors leaks some 30 bytes with each tensor that it reads.
INPUTS = 10_000


class Hang(BaseException):
    """An input takes too long."""


def trial(target: Target, data: bytes) -> str:
    """What became of one input: `accepted`, `refused`, or the fault in words."""
    signal.setitimer(signal.ITIMER_REAL, target.seconds)
    try:
        return "accepted" if target.feed(data) else "refused"
    except Hang:
        return f"hang: more than {target.seconds:g} s"
    except MemoryError:
        return f"memory: more than {target.room >> 20} MB"
    except BaseException as error:  # noqa: BLE001 - whatever is not ours is what is looked for
        lines = str(error).splitlines() or [""]
        return f"{type(error).__name__}: {lines[0][:200]}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def limit(target: Target) -> None:
    """Hold this process to the target's time and memory."""

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise Hang

    signal.signal(signal.SIGALRM, ring)
    most = psutil.Process().memory_info().vms + target.room
    _, allowed = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (most, allowed))


def source_of(kind: str, seed: int, number: int) -> random.Random:
    """The generator that input's changes are drawn from."""
    return random.Random(f"{kind}/{seed}/{number}")  # noqa: S311


def _campaign(kind: str, folder: Path, numbers: range, *, seed: int, ipc: Any, end: float) -> None:  # noqa: ANN401
    at, answers = ipc
    target = TARGETS[kind](folder)
    limit(target)
    counts: Counter[str] = Counter()
    for number in numbers:
        at.value = number
        if number % 64 == 0 and time.monotonic() > end:
            break
        data = target.mutate(source_of(kind, seed, number))
        what = trial(target, data)
        if what.startswith("hang"):  # or the machine was busy
            what = trial(target, data)
        if what not in {"accepted", "refused"} and what not in counts:
            name = "".join(c if c.isalnum() else "-" for c in what)[:60].strip("-")
            (FOUND / f"{kind}.{name}").write_bytes(data)
        counts[what] += 1
    answers.put(counts)


def campaign(kind: str, count: int, *, seed: int, seconds: float) -> bool:
    """Feed one target and print the counts; whether nothing was found.

    In processes of their own: the next one starts after so many inputs, or after one that kills.
    """
    fork = multiprocessing.get_context("fork")
    ipc = fork.RawValue("q", 0), fork.SimpleQueue()
    started, total, crashes, first = time.monotonic(), Counter[str](), 0, 0
    while first < count and time.monotonic() < started + seconds:
        numbers = range(first, min(first + INPUTS, count))
        ipc[0].value = first - 1
        with tempfile.TemporaryDirectory() as folder:
            process = fork.Process(
                target=_campaign,
                args=(kind, Path(folder), numbers),
                kwargs={"seed": seed, "ipc": ipc, "end": started + seconds},
            )
            process.start()
            process.join()
        if process.exitcode == 0:
            total += ipc[1].get()
            first = numbers.stop
            continue
        if ipc[0].value < first:
            raise RuntimeError(f"{kind} must be prepared, got exit code {process.exitcode}")
        crashes += 1
        click.echo(f"crash {process.exitcode} at input {ipc[0].value} of seed {seed}")
        first = ipc[0].value + 1
    faults = {what: many for what, many in total.items() if what not in {"accepted", "refused"}}
    click.echo(
        f"{kind}: {total.total() + crashes:,} tried in {time.monotonic() - started:.0f} s, "
        f"{total['accepted']:,} accepted, {total['refused']:,} refused, {crashes} crashes, "
        f"{sum(faults.values()):,} other faults"
    )
    for what, many in sorted(faults.items()):
        click.echo(f"  {many:,} x {what}")
    return not faults and not crashes


def again() -> bool:
    """Feed every input that was found before; whether all are accepted or refused."""
    faults, found = 0, sorted(FOUND.glob("*.*"))
    for kind in sorted({path.name.partition(".")[0] for path in found}):
        with tempfile.TemporaryDirectory() as folder:
            target = TARGETS[kind](Path(folder))
            limit(target)
            for path in FOUND.glob(f"{kind}.*"):
                what = trial(target, path.read_bytes())
                if what not in {"accepted", "refused"}:
                    faults += 1
                    click.echo(f"{path.name}: {what}")
    click.echo(f"{len(found)} inputs that were found before: {faults} faults")
    return not faults


@click.command()
@click.argument("kinds", nargs=-1, type=click.Choice(list(TARGETS)))
@click.option("--again", "is_again", is_flag=True, help="Feed what was found before, too.")
@click.option("--count", default=1000, help="How many inputs of each kind.")
@click.option("--seed", default=0)
@click.option("--seconds", default=1e9, help="End each kind after so many.")
def main(kinds: tuple[str, ...], *, is_again: bool, count: int, seed: int, seconds: float) -> None:
    """Feed each of KINDS with COUNT inputs; the exit code is 1 if something was found."""
    ends = [campaign(kind, count, seed=seed, seconds=seconds) for kind in kinds]
    if is_again:
        ends.append(again())
    sys.exit(0 if all(ends) else 1)


if __name__ == "__main__":
    main()
