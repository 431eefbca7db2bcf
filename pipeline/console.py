"""What a step shows while it runs: lines, tables, a progress bar.

If the output is not a terminal, there are only plain lines.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Protocol, runtime_checkable

import rich.box
import rich.console
import rich.markup
import rich.progress
import rich.table

_WIDEST = 1000


@runtime_checkable
class Advance(Protocol):
    """Advances a progress bar."""

    def __call__(self, parts: int, note: str | None = None) -> None:
        """Count parts as done, and show a note after the bar if one is given."""


class Console:
    """The terminal, or whatever replaces it."""

    def __init__(self, file: IO[str] | None = None) -> None:
        """Write to `file`, by default standard output."""
        self._console = rich.console.Console(
            file=file, highlight=False, soft_wrap=True, emoji=False
        )
        self._started = time.perf_counter()

    def line(self, text: str = "") -> None:
        """Show one line as it is."""
        self._console.print(text, markup=False)

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Show a table; its cells may carry rich markup such as `[red]dead[/]`."""
        table = rich.table.Table(title=title, title_justify="left", box=rich.box.SIMPLE)
        for number, column in enumerate(columns):
            table.add_column(column, justify="left" if number == 0 else "right", no_wrap=True)
        for row in rows:
            table.add_row(*row)
        # As wide as its content, whatever the terminal: a cell that ends in "…" says nothing.
        room = self._console.width
        self._console.width = _WIDEST
        self._console.width = max(room, self._console.measure(table).maximum)
        self._console.print(table)
        self._console.width = room

    def elapsed(self, what: str) -> None:
        """Show how many seconds have passed since this console was created."""
        self.line(f"{what} in {time.perf_counter() - self._started:.1f} s")

    @contextmanager
    def progress(self, what: str, total: int) -> Iterator[Advance]:
        """Show a bar with the time left while the block runs; on a terminal only.

        Args:
            what: the activity.
            total: the number of parts.
        """
        bar = rich.progress.Progress(
            rich.progress.TextColumn("{task.description}"),
            rich.progress.BarColumn(),
            rich.progress.MofNCompleteColumn(),
            rich.progress.TimeRemainingColumn(),
            rich.progress.TextColumn("{task.fields[note]}"),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        with bar:
            task = bar.add_task(what, total=total, note="")

            def advance(parts: int, note: str | None = None) -> None:
                bar.advance(task, parts)
                if note is not None:
                    bar.update(task, note=note)

            yield advance


def literal(text: str) -> str:
    """The text escaped for a table cell, brackets included."""
    return rich.markup.escape(text)
