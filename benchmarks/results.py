"""What benchmarks find: rows with their bounds, and `RESULTS.md`, which keeps them by machine.

It must not know how anything is measured.
"""

import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import torch

from pipeline.training import device as devices

RESULTS = Path(__file__).parent / "RESULTS.md"
HEADING = """# Results

Written by `python -m benchmarks --record`, a section for each machine. Seconds depend on the
machine and on what else it does; ratios were taken side by side in one run.
"""


@dataclass(frozen=True, kw_only=True)
class Bound:
    """What a value must keep, and the aim behind it.

    Attributes:
        limit: that must not be passed.
        aim: better than the limit; None where there is no other.
        is_floor: whether values must be at least the limit; else at most.
    """

    limit: float
    aim: float | None = None
    is_floor: bool = False

    def judge(self, value: float) -> str:
        """The bound in words, and whether the value keeps it."""
        kept = "aim met" if self._keeps(value, self.aim) else "met"
        verdict = kept if self._keeps(value, self.limit) else "MISSED"
        aim = f" (aim {self.aim:g})" if self.aim is not None else ""
        return f"{'at least' if self.is_floor else 'at most'} {self.limit:g}{aim}: {verdict}"

    def _keeps(self, value: float, limit: float | None) -> bool:
        if limit is None:
            return False
        return value >= limit if self.is_floor else value <= limit


@dataclass(frozen=True, kw_only=True)
class Row:
    """One finding.

    Attributes:
        name: what was measured.
        value: the number.
        unit: its unit; `x` for a ratio, nothing for a count.
        spread: half of its 95 % interval, in the same unit; None where none was taken.
        bound: what it must keep, if anything.
        note: what else a reader must know.
    """

    name: str
    value: float
    unit: str
    spread: float | None = None
    bound: Bound | None = None
    note: str = ""

    @property
    def cells(self) -> tuple[str, str, str]:
        """Name, value with its unit, and remarks, as text."""
        remarks = [self.bound.judge(self.value)] if self.bound else []
        return self.name, self._value, "; ".join([*remarks, self.note] if self.note else remarks)

    @property
    def _value(self) -> str:
        if not self.unit:
            return f"{self.value:g}"
        if self.spread is None:
            return f"{_rounded(self.value, of=self.value, digits=3)} {self.unit}"
        value, spread = (_rounded(x, of=self.spread, digits=2) for x in (self.value, self.spread))
        return f"{value} ± {spread} {self.unit}"


def _rounded(value: float, *, of: float, digits: int) -> str:
    """The value to as many places as show so many digits of the other."""
    magnitude = math.floor(math.log10(abs(of))) if of and math.isfinite(of) else 0
    return f"{value:,.{max(digits - 1 - magnitude, 0)}f}"


def machine(device: torch.device) -> str:
    """The machine's name, the heading of its section."""
    return f"{devices.describe(device)}, {os.cpu_count()} cores"


def record(path: Path, machine: str, *, benchmark: str, rows: Sequence[Row], today: date) -> None:
    """Put a benchmark's rows in the place of its former ones, and leave all others as they are.

    Args:
        path: the file, which need not exist.
        machine: whose section.
        benchmark: whose part of the section.
        rows: what it found.
        today: the date of the measurement.
    """
    sections = _read(path)
    sections.setdefault(machine, {})[benchmark] = _table(rows, today)
    parts = [HEADING]
    for name, tables in sorted(sections.items()):
        parts.append(f"## {name}\n")
        parts += [f"### {title}\n\n{text}\n" for title, text in sorted(tables.items())]
    path.write_text("\n".join(parts), encoding="utf-8")


def _read(path: Path) -> dict[str, dict[str, str]]:
    """What stands below each machine's and benchmark's heading."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    sections: dict[str, dict[str, str]] = {}
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        name, _, body = section.partition("\n")
        tables = (part.partition("\n") for part in re.split(r"^### ", body, flags=re.MULTILINE)[1:])
        sections[name] = {title: table.strip() for title, _, table in tables}
    return sections


def _table(rows: Sequence[Row], today: date) -> str:
    """The rows in Markdown, below the conditions that they were found in."""
    threads = torch.get_num_threads()
    lines = [f"torch {torch.__version__}, {threads} threads, {today:%Y-%m-%d}", ""]
    lines += ["| what | value | bound |", "| --- | ---: | --- |"]
    lines += ["| " + " | ".join(row.cells) + " |" for row in rows]
    return "\n".join(lines)
