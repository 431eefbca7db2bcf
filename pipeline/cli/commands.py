"""The command line as a process: exit codes, errors in one line, signals, streams.

It must not import torch or mlflow: a step's own imports happen when the step starts.
"""

import atexit
import logging
import os
import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click

from pipeline import spare
from pipeline.cli.group import COMMAND, build, tell_opened_run
from pipeline.cli.streams import Output
from pipeline.errors import Interrupted, PipelineError, UsageError
from pipeline.interrupts import interrupt
from pipeline.redaction import printable, redacted
from why_zero.errors import WhyZeroError

# What continues where it stopped when the same line is run again.
RESUMED = ("main", "mnist", "sweep", "publish")
# What has no other result than what it prints.
PRINTED = ("predict", "doctor", "completion")

_ENDING = [signal.SIGINT, signal.SIGTERM]
if hasattr(signal, "SIGHUP"):  # the terminal is closed; Windows has none
    _ENDING.append(signal.SIGHUP)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave with its exit code: 2 for usage, 1 for other failures."""
    words = sys.argv[1:] if arguments is None else arguments
    output = Output()
    code = run(words)
    if code == 0 and words[:1] and words[0] in PRINTED and (problem := output.problem):
        code = _fail(
            f"standard output must take what {words[0]} prints, got {problem.strerror}: write it "
            "to another place",
            1,
        )
    # Python would tear down torch and mlflow object by object, for nearly two seconds.
    atexit._run_exitfuncs()  # noqa: SLF001 - has no public name
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; a user's mistake is one line on stderr."""
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    if os.environ.get(spare.DEBUG):
        logging.getLogger("pipeline").setLevel(logging.DEBUG)
    for number in _ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as after nohup
            signal.signal(number, _interrupt)
    try:
        Path.cwd()
    except FileNotFoundError:
        return _fail("the working folder must exist, got one that was deleted: go to another", 1)
    program = _program()
    is_within_mlflow = "MLFLOW_RUN_ID" in os.environ
    try:
        build(program).main(list(arguments), prog_name=program, standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as bare:
        click.echo(bare.format_message())
    except click.ClickException as error:
        message = printable(_message(error))
        tell_opened_run(arguments[0], UsageError(message))
        return _fail(message, error.exit_code)
    except (WhyZeroError, OSError) as error:
        if "--debug" in arguments or os.environ.get(spare.DEBUG):
            raise
        return _fail(_told(error), error.exit_code if isinstance(error, PipelineError) else 1)
    except click.Abort as abort:  # how click reports a KeyboardInterrupt
        cause = abort.__cause__
        again = (
            "the same `mlflow run`" if is_within_mlflow else f"{program} {shlex.join(arguments)}"
        )
        click.echo(_stopped(arguments, again), err=True)
        return cause.exit_code if isinstance(cause, Interrupted) else 128 + signal.SIGINT
    finally:
        spare.dismiss()  # those of a step that ended before it trained
    return 0


def _program() -> str:
    """How this was started, as a user would type it."""
    return COMMAND if Path(sys.argv[0]).stem == COMMAND else "python -m pipeline"


def _told(error: Exception) -> str:
    """What an error says; of a disk that fails where nobody expects it, what to do as well."""
    if isinstance(error, WhyZeroError):
        return str(error)
    return (
        f"the system must read and write what a step needs, got {error}: mend that, then run the "
        "same line again; --debug shows where it happened"
    )


def _message(error: click.ClickException) -> str:
    """What click says; for an option that does not exist, with the one that is nearest."""
    if isinstance(error, click.NoSuchOption) and error.possibilities:
        return f"{error.message} Did you mean {error.possibilities[0]!r}?"
    return error.format_message()


def _stopped(arguments: Sequence[str], again: str) -> str:
    """What a user who has stopped a command should know.

    Args:
        arguments: of the command.
        again: what starts it once more.
    """
    lines = ["stopped; unfinished runs are marked as killed"]
    pairs = zip(arguments, [*arguments[1:], ""], strict=True)
    is_forced = any(
        word.startswith("--force") and "false" not in {value, word[8:]} for word, value in pairs
    )
    if arguments[0] in RESUMED and not is_forced:
        lines.append(f"to go on where it stopped:  {again}")
    return "\n".join(lines)


def _fail(message: str, exit_code: int) -> int:
    """Show the message; it has several lines only if several things failed."""
    for line in redacted(message).strip("\n").split("\n"):
        click.echo(f"error: {printable(line)}", err=True)
    return exit_code


def _interrupt(number: int, _frame: FrameType | None) -> None:
    """Raise once: a second signal must not interrupt the ending of the runs."""
    for each in _ENDING:
        # Not SIG_IGN: Python complains about a signal that has already arrived.
        signal.signal(each, lambda *_: None)
    interrupt(number)
