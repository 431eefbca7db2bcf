"""A table of groups in colour, for the terminal."""

from rich.markup import escape

from pipeline.comparison.tables import Table

DEAD = "dead units"


def colored(table: Table) -> list[list[str]]:
    """The rows as rich markup: the chosen group in green, and dead units in red.

    Colours repeat what the cells say, so nothing is lost where there are none.
    """
    return [
        [
            _colored(column, escape(cell), row[0])
            for column, cell in zip(table.columns, row, strict=True)
        ]
        for row in table.rows
    ]


def _colored(column: str, cell: str, label: str) -> str:
    if column == DEAD and any(digit in cell for digit in "123456789"):
        return f"[red]{cell}[/]"
    return f"[bold green]{cell}[/]" if label.endswith(" (chosen)") else cell
