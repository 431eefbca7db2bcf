"""Numbers, tables and reasons as text."""

import csv
import io
import math
from collections.abc import Iterable, Mapping

# A no-break space keeps a number and its sign on one line.
SPACE, DASH = "\u00a0", "–"
_NAMED = 3  # of those that share a reason


def percent(share: float, digits: int = 2, *, unknown: str = DASH) -> str:
    """A share in per cent, never rounded to none or all: `33.40 %`, `0.003 %`, `99.996 %`.

    Args:
        share: in [0, 1], or NaN.
        digits: behind the decimal point; up to six where fewer would say 0 or 100.
        unknown: what NaN is called.
    """
    if math.isnan(share):
        return unknown
    while 0 < share < 1 and digits < 6 and float(f"{100 * share:.{digits}f}") in {0, 100}:
        digits += 1
    return f"{100 * share:.{digits}f}{SPACE}%"


def counted(number: int, noun: str) -> str:
    """A number of things: `1 unit`, `2,000 units`."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def csv_of(rows: Iterable[Iterable[object]]) -> str:
    """Rows as CSV, with the same line ends on every system."""
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(rows)
    return file.getvalue()


def reasons(failures: Mapping[str, str]) -> str:
    """Why each of several failed, each reason once: `a, b: too large; c: NaN`.

    Args:
        failures: the reasons by the names of what failed.
    """
    alike: dict[str, list[str]] = {}
    for name, reason in failures.items():
        alike.setdefault(reason, []).append(name)
    return "; ".join(f"{_some(names)}: {reason}" for reason, names in alike.items())


def _some(names: list[str]) -> str:
    """The first of these names, and how many more there are."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
