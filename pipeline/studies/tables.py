"""A study's findings as Markdown and CSV, and the table of several studies."""

import math
from collections.abc import Mapping, Sequence

from pipeline.comparison.statistics import Estimate
from pipeline.markdown import WIDE, table
from pipeline.records.words import DASH, SPACE, csv_of
from pipeline.studies.study import Finding, Findings, Study

NARROW = ("what", "published", "ours", "agrees")
COLUMNS = ("what", "published", "ours", "agrees", "where, and what to know")
# A description is a tag, which MLflow cuts at 8,000 characters.
ROOM = 7_900
# The page of all studies, above their tables.
HEAD = """# Published studies, done again

    mlflow run . --env-manager local -e reproduce -P study=all -P scale=quick

This page was written by that command (scale={scale}, {made_with}); `make studies` puts the newest one here. Each study is a run in MLflow with the same table, its figures and its networks, and `-P study=uva-dead` does one alone. `scale=quick` takes minutes on two cores; what that weakens is said at each study. `scale=full` is as the source has it, and is meant for a GPU.

**Agrees** means: means differ by no more than both 95 % intervals allow, √(a² + b²). What a source found with one network must lie where another one of ours would, in the 95 % prediction interval over our seeds. ≤ and ≥ mark bounds, which our interval must reach. The last column says where a value stands in its source. *Quoted*: read in what others quote from the source, not in the source itself; *off a figure*: read from its axes, with a tolerance; *unverified*: known by hearsay only."""  # noqa: E501
_VERDICTS = {True: "yes", False: "**no**", None: DASH}


def counted_verdicts(rows: Sequence[Finding]) -> str:
    """How many of the values agree: `5 of 6 agree`."""
    judged = [row.agrees for row in rows if row.agrees is not None]
    return f"{sum(judged)} of {len(judged)} agree" if judged else "nothing to compare with"


def findings_table(rows: Sequence[Finding], *, most: int | None = None) -> str:
    """The findings as a Markdown table, those that do not agree first if not all are shown."""
    shown = list(rows)
    if most is not None and len(shown) > most:
        shown = sorted(shown, key=lambda row: row.agrees is not False)[:most]
    text = table(COLUMNS, [_cells(row) for row in shown], left=len(COLUMNS))
    more = len(rows) - len(shown)
    return f"{text}\n\n… and {more} more in findings.csv." if more else text


def markdown(study: Study, found: Findings, *, scale: str, most: int | None = None) -> str:
    """A study's title, table, remark, limits and source.

    Args:
        study: which.
        found: what it found.
        scale: how much was computed.
        most: how many rows to show at most.
    """
    parts = [f"**{study.title}** {counted_verdicts(found.rows)}."]
    parts += [findings_table(found.rows, most=most), *filter(None, [found.remark])]
    parts += [f"scale=quick: {study.quick}"] if scale == "quick" else []
    return "\n\n".join([*parts, f"Source: {study.source}"])


def description(study: Study, found: Findings, *, scale: str, more: str = "") -> str:
    """The same and more, with as many rows as fit into a run's description."""
    text = ""
    for most in (None, 40, 25, 15, 8, 3):
        text = markdown(study, found, scale=scale, most=most) + more
        if len(text) <= ROOM:
            return text
    return text[: text.rindex("\n", 0, ROOM)]


def plain(text: str) -> str:
    """Markdown without the spaces that widen tables in MLflow."""
    return text.replace(WIDE, "")


def narrow_rows(rows: Sequence[Finding]) -> list[tuple[str, ...]]:
    """The cells of `NARROW`, for a terminal."""
    return [tuple(cell.strip("*") for cell in _cells(row)[: len(NARROW)]) for row in rows]


def findings_csv(rows: Sequence[Finding]) -> str:
    """One row a finding, numbers in full."""
    columns = (
        *("what", "unit", "ours", "ours_half_width", "n", "published"),
        *("published_half_width", "where", "reading", "rule", "agrees", "note"),
    )
    return csv_of([columns, *map(_csv_row, rows)])


def summary(found: Mapping[str, Findings]) -> str:
    """One row a study: how many of its values agree, and which do not."""
    rows = []
    for name, findings in found.items():
        against = [_escaped(row.what) for row in findings.rows if row.agrees is False]
        rows.append((f"`{name}`", counted_verdicts(findings.rows), "; ".join(against) or DASH))
    return table(("study", "values", "which do not"), rows, left=3)


def page(
    studies: Mapping[str, Study], found: Mapping[str, Findings], *, scale: str, made_with: str
) -> str:
    """All studies as one page of the documentation.

    Args:
        studies: by name.
        found: what each of them found, by name.
        scale: how much was computed.
        made_with: versions, in words.
    """
    parts = [HEAD.format(scale=scale, made_with=made_with), summary(found)]
    for name, findings in found.items():
        parts += [f"## {name}", markdown(studies[name], findings, scale=scale)]
    return plain("\n\n".join(parts)) + "\n"


def _csv_row(row: Finding) -> tuple[object, ...]:
    theirs = row.published
    published: tuple[object, ...] = ("",) * 4
    if theirs:
        published = (theirs.value, theirs.half_width, theirs.where, theirs.reading)
    half_width = "" if math.isnan(row.ours.half_width) else row.ours.half_width
    agrees = {True: "yes", False: "no", None: ""}[row.agrees]
    return (
        *(row.what, row.unit, row.ours.mean, half_width, row.ours.count),
        *(*published, row.rule, agrees, row.note),
    )


def _cells(row: Finding) -> tuple[str, ...]:
    theirs = row.published
    published = DASH
    place = row.note
    if theirs:
        is_shown = theirs.half_width >= 10.0**-row.digits / 2
        own = Estimate(theirs.value, theirs.half_width if is_shown else math.nan, 0)
        sign = {"at most": "≤ ", "at least": "≥ "}.get(row.rule, "")
        published = sign + _interval(own, row)
        reading = "" if theirs.reading == "read" else f" ({theirs.reading})"
        place = f"{theirs.where}{reading}" + (f"; {row.note}" if row.note else "")
    ours = _interval(row.ours, row)
    if theirs and row.rule == "one network" and not math.isnan(row.ours.half_width):
        ours += f" (one network: ± {row.ours.for_one_more.half_width:.{row.digits}f})"
    cells = (row.what, published, ours, _VERDICTS[row.agrees], place)
    return tuple(map(_escaped, cells))


def _escaped(text: str) -> str:
    """Text that ends no cell of a table."""
    return text.replace("|", "\\|")


def _interval(value: Estimate, row: Finding) -> str:
    if math.isnan(value.mean):
        return DASH
    unit = f"{SPACE}{row.unit}" if row.unit else ""
    text = f"{value.mean:.{row.digits}f}"
    if math.isnan(value.half_width):
        return text + unit
    return f"{text} ± {value.half_width:.{row.digits}f}{unit}"
