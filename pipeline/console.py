"""What a step shows while it runs: lines, tables, links, a progress bar.

If the output is not a terminal, there are only plain lines. Colours are left out where `NO_COLOR`
is set.
"""

import re
import textwrap
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

import rich.box
import rich.console
import rich.markup
import rich.progress
import rich.table
import rich.text

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_WIDEST = 1000
_PER_SECOND = 5  # how often a bar is drawn


@dataclass(frozen=True)
class State:
    """How far something is.

    Attributes:
        share: what is done of it, in [0, 1].
        note: a line to show below the bar.
    """

    share: float
    note: str


class Console:
    """The terminal, or whatever replaces it."""

    def __init__(self, file: IO[str] | None = None) -> None:
        """Write to `file`, by default standard output."""
        self._console = rich.console.Console(file=file, highlight=False, emoji=False)
        self._started = time.perf_counter()

    def line(self, text: str = "") -> None:
        """Show one line, control characters escaped; on a terminal it is broken between words."""
        text = _harmless(text)
        if self._console.is_terminal:
            text = "\n".join(_wrapped(each, self._console.width) for each in text.split("\n"))
        self._console.print(text, markup=False, soft_wrap=True)

    def link(self, what: str, address: str) -> None:
        """Show an address, which can be clicked where the terminal has links."""
        shown = rich.text.Text(f"{what:<13} ")
        shown.append(address, style=f"link {address}")
        self._console.print(shown, soft_wrap=True)  # an address stays in one piece

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Show a table; its cells may carry rich markup such as `[red]dead[/]`.

        On a terminal that is too narrow for it, its widest columns are wrapped.
        """
        table = rich.table.Table(
            title=title,
            title_justify="left",
            box=rich.box.SIMPLE_HEAD,
            pad_edge=False,
            collapse_padding=True,
        )
        for number, column in enumerate(columns):
            table.add_column(column, justify="left" if number == 0 else "right", overflow="fold")
        for row in rows:
            table.add_row(*row)
        room = self._console.width
        if not self._console.is_terminal:
            # As wide as its content: a program that reads it wants a row to be a line.
            self._console.width = _WIDEST
            self._console.width = max(room, self._console.measure(table).maximum)
        self._console.print(table)
        self._console.width = room

    def elapsed(self, what: str) -> None:
        """Show how many seconds have passed since this console was created."""
        self.line(f"{what} in {time.perf_counter() - self._started:.1f} s")

    @contextmanager
    def progress(self, what: str, state: Callable[[], State]) -> Iterator[None]:
        """Show a bar while the block runs, with the time that has passed; on a terminal only.

        Args:
            what: the activity.
            state: how far it is; asked a few times a second, by another thread.
        """
        with _Bar(what, state, self._console):
            yield


class _Bar(rich.progress.Progress):
    """A bar that asks how far it is whenever it is drawn, with a note below."""

    def __init__(
        self, what: str, state: Callable[[], State], console: rich.console.Console
    ) -> None:
        self._state = state
        super().__init__(
            rich.progress.SpinnerColumn(),
            rich.progress.TextColumn("{task.description}"),
            rich.progress.BarColumn(),
            rich.progress.TaskProgressColumn("{task.percentage:>3.0f} %"),
            rich.progress.TimeElapsedColumn(),
            console=console,
            refresh_per_second=_PER_SECOND,
            transient=True,
            disable=not console.is_terminal,
        )
        self.add_task(what, total=1.0)

    def get_renderables(self) -> Iterable[rich.console.RenderableType]:
        """The bar and the note."""
        state = self._state()
        for task in self.tasks:
            # Below 1, or the clock stops.
            self.update(task.id, completed=min(state.share, 1 - 1e-9))
        yield self.make_tasks_table(self.tasks)
        yield rich.text.Text(f"  {state.note}", style="dim")


def _wrapped(line: str, width: int) -> str:
    """The line broken between words, its parts under each other; long words stay whole."""
    indent = " " * (len(line) - len(line.lstrip(" ")))
    return textwrap.fill(
        line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def literal(text: str) -> str:
    """The text escaped for a table cell, brackets and control characters included."""
    return rich.markup.escape(_harmless(text))


def _harmless(text: str) -> str:
    """The text with control characters escaped: names may be somebody else's, and steer nothing."""
    return _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)
