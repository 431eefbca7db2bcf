"""The command line: one command a step, derived from its settings. No logic of its own.

It must not import torch or mlflow: a step's own imports happen when the step starts.
"""

import atexit
import gc
import importlib
import inspect
import io
import logging
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import click

from pipeline.config.options import STEPS, module_of
from pipeline.config.settings import argument, canonical, declared, name_of, parsed
from pipeline.errors import Interrupted, PipelineError, UsageError
from pipeline.interrupts import interrupt
from pipeline.redaction import redacted
from why_zero.errors import WhyZeroError

DEBUG_VARIABLE = "WHY_ZERO_DEBUG"
_ENDING = [signal.SIGINT, signal.SIGTERM]
if hasattr(signal, "SIGHUP"):  # the terminal is closed; Windows has none
    _ENDING.append(signal.SIGHUP)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave with its exit code: 2 for usage, 1 for other failures."""
    code = run(sys.argv[1:] if arguments is None else arguments)
    # Python would tear down torch and mlflow object by object, for nearly two seconds.
    atexit._run_exitfuncs()  # noqa: SLF001 - has no public name
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # such as a closed pipe
            stream.flush()
    os._exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; a user's mistake is one line on stderr."""
    _settle_streams()
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    for number in _ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as after nohup
            signal.signal(number, _interrupt)
    try:
        Path.cwd()
    except FileNotFoundError:
        return _fail("the working folder must exist, got one that was deleted: go to another", 1)
    try:
        build().main(list(arguments), prog_name="python -m pipeline", standalone_mode=False)
    except click.ClickException as error:
        return _fail(error.format_message(), error.exit_code)
    except WhyZeroError as error:
        if "--debug" in arguments or os.environ.get(DEBUG_VARIABLE):
            raise
        return _fail(str(error), error.exit_code if isinstance(error, PipelineError) else 1)
    except click.Abort as abort:  # how click reports a KeyboardInterrupt
        cause = abort.__cause__
        code = cause.exit_code if isinstance(cause, Interrupted) else 128 + signal.SIGINT
        return _fail("stopped; unfinished runs are marked as killed", code)
    return 0


def _settle_streams() -> None:
    """Keep output from failing when a stream is closed or cannot encode a character."""
    nowhere = Path(os.devnull)
    sys.stdout = sys.stdout or nowhere.open("w", encoding="utf-8")
    sys.stderr = sys.stderr or nowhere.open("w", encoding="utf-8")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _leave_reason(step: str, error: UsageError) -> None:
    """If `mlflow run` has opened a run for this step, end it with the reason."""
    if "MLFLOW_RUN_ID" not in os.environ:
        return
    from pipeline.tracking import connect

    with suppress(PipelineError), connect().start_step(step, step, parameters={}):
        raise error


def _fail(message: str, exit_code: int) -> int:
    """Show the message; it has several lines only if several things failed."""
    for line in redacted(message).splitlines():
        click.echo(f"error: {line}", err=True)
    return exit_code


def _interrupt(number: int, _frame: FrameType | None) -> None:
    """Raise once: a second signal must not interrupt the ending of the runs."""
    for each in _ENDING:
        # Not SIG_IGN: Python complains about a signal that has already arrived.
        signal.signal(each, lambda *_: None)
    interrupt(number)


def build() -> click.Group:
    """The command `python -m pipeline`, with a sub-command for each step."""
    group = click.Group(
        name="pipeline",
        help="Train networks, tracked in MLflow, and explain why each activation is zero.",
        context_settings={
            "help_option_names": ["-h", "--help"],
            "token_normalize_func": lambda token: token.replace("_", "-"),
            "max_content_width": 100,
        },
    )
    for step, settings in STEPS.items():
        group.add_command(_command(step, settings))
    return group


def _command(step: str, settings: type) -> click.Command:
    """One step's command. Options stay text until all of them are read, then are parsed at once."""
    taken = argument(settings)

    def callback(**texts: Any) -> None:  # noqa: ANN401 - as click passes them
        values = texts.pop(taken[0].name) if taken else ()
        try:
            chosen: object = parsed(settings, texts, values)
        except UsageError as error:
            _leave_reason(step, error)
            raise
        # Collecting garbage while torch and mlflow are imported finds none and takes 1.5 s.
        gc.disable()
        try:
            from pipeline.console import Console

            console = Console()
            module = importlib.import_module(f"pipeline.steps.{module_of(step)}")
            # It finds none among them later either, and this project makes few, large objects.
            # Once per process: a second step would freeze the garbage of the first.
            if not gc.get_freeze_count():
                gc.freeze()
                gc.set_threshold(20_000)
        finally:
            gc.enable()
        module.run(chosen, console)

    options = [
        click.Option(
            [f"--{name_of(item).replace('_', '-')}"],
            default=canonical(item.default),
            show_default=True,
            metavar=kind.metavar,
            help=text,
        )
        for item, kind, text in declared(settings)
    ]
    unnamed = [
        click.Argument(
            [item.name],
            nargs=item.metadata["count"],
            required=True,
            metavar=kind.metavar + "..." * (item.metadata["count"] < 0),
        )
        for item, kind in ([taken] if taken else [])
    ]
    debug = click.Option(
        ["--debug"],
        is_flag=True,
        expose_value=False,
        help=f"Show the traceback of an error (also with {DEBUG_VARIABLE}=1).",
    )
    return click.Command(
        step, params=[*unnamed, *options, debug], callback=callback, help=inspect.getdoc(settings)
    )
