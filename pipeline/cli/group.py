"""The command `why-zero` with a sub-command for each step, derived from the steps' settings.

It must not import torch or mlflow: a step's own imports happen when the step starts.
"""

import gc
import importlib
import inspect
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import Field
from typing import Any

import click
from click.shell_completion import CompletionItem, get_completion_class

from pipeline import __version__, spare
from pipeline.config.options import STEPS, MainSettings, MnistSettings, SweepSettings, module_of
from pipeline.config.settings import (
    YES_OR_NO,
    Kind,
    argument,
    canonical,
    declared,
    name_of,
    parsed,
)

COMMAND = "why-zero"
SHELLS = ("bash", "zsh", "fish")


def build(program: str = COMMAND) -> click.Group:
    """The command, with a sub-command for each step.

    Args:
        program: how it was started, for the examples in the help.
    """
    group = _InOrder(
        name=COMMAND,
        help="Train networks, tracked in MLflow, and explain why each activation is zero.",
        context_settings={
            "help_option_names": ["-h", "--help"],
            "token_normalize_func": lambda token: token.replace("_", "-"),
            "max_content_width": 100,
        },
    )
    click.version_option(__version__, message=f"{COMMAND} %(version)s")(group)
    for step, settings in STEPS.items():
        group.add_command(_step(step, settings, program))
    group.add_command(_completion(group))
    return group


class _InOrder(click.Group):
    """Lists its commands in the order in which a user comes to need them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of the commands."""
        del ctx
        return list(self.commands)


class _Step(click.Command):
    """A step's command: its yes-or-no options may stand alone, or as `--no-…`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Spell out what such an option means, so that no word after it is taken for its value."""
        spelled: list[str] = []
        rest = list(args)
        takes_words = any(isinstance(each, click.Argument) for each in self.params)
        options = {name: each for each in self.params for name in each.opts}
        while rest and spelled[-1:] != ["--"]:
            word = rest.pop(0)
            name = word.replace("_", "-")
            option = options.get(name)
            opposite = options.get(name.replace("--no-", "--", 1))
            if isinstance(option, _YesOrNo):
                is_value = bool(rest) and (
                    rest[0].lower() in YES_OR_NO.words
                    or not (takes_words or rest[0].startswith("-"))
                )
                spelled += [word, rest.pop(0) if is_value else "true"]
            elif isinstance(option, click.Option) and not option.is_flag:
                spelled += [word, *rest[:1]]
                del rest[:1]
            elif option is None and name.startswith("--no-") and isinstance(opposite, _YesOrNo):
                spelled += [opposite.opts[0], "false"]
            else:
                spelled.append(word)
        return super().parse_args(ctx, spelled + rest)


class _YesOrNo(click.Option):
    """An option that is `true` where it has no value."""


def _step(step: str, settings: type, program: str) -> click.Command:
    """One step's command. Options stay text until all of them are read, then are parsed at once."""
    taken = argument(settings)

    def callback(**texts: Any) -> None:  # noqa: ANN401 - as click passes them
        values = texts.pop(taken[0].name) if taken else ()
        with _telling_an_opened_run(step):
            chosen: object = parsed(settings, texts, values)
            _begin_to_train(chosen)
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

    about = inspect.getdoc(settings) or ""
    debug = click.Option(
        ["--debug"],
        is_flag=True,
        expose_value=False,
        help=f"Show the traceback of an error (also with {spare.DEBUG}=1).",
    )
    return _Step(
        step,
        params=[*_arguments(settings), *(_option(*each) for each in declared(settings)), debug],
        callback=callback,
        # Not wrapped: an example is there to be copied.
        help=about.replace("Example: ", f"\b\nExample: {program} "),
        short_help=about.splitlines()[0],
    )


def _begin_to_train(chosen: object) -> None:
    """Start the processes that a step will train in, before the step's own imports."""
    if os.environ.get(spare.WORKERS) == "0":
        return
    if isinstance(chosen, MnistSettings):
        spare.begin(1, guess=chosen)
    elif isinstance(chosen, MainSettings) or (
        isinstance(chosen, SweepSettings) and chosen.engine == "local"
    ):
        spare.begin(min(2, os.cpu_count() or 1))


def tell_opened_run(step: str, error: BaseException) -> None:
    """If `mlflow run` has opened a run that no step has taken over, end it with what went wrong."""
    if "MLFLOW_RUN_ID" in os.environ:
        from pipeline.tracking import end_opened_run

        end_opened_run(step, error)


@contextmanager
def _telling_an_opened_run(step: str) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        tell_opened_run(step, error)
        raise


def _arguments(settings: type) -> list[click.Parameter]:
    """The step's arguments without a name."""
    taken = argument(settings)
    if taken is None:
        return []
    item, kind = taken
    count = item.metadata["count"]
    return [
        click.Argument(
            [item.name],
            # An optional one is a list of at most one.
            nargs=count if count > 0 else -1,
            required=count != 0,
            metavar=f"[{kind.metavar}]" if count == 0 else kind.metavar + "..." * (count < 0),
            shell_complete=_completing(kind),
        )
    ]


def _option(item: Field[Any], kind: Kind, text: str) -> click.Option:
    make = _YesOrNo if kind is YES_OR_NO else click.Option
    return make(
        [f"--{name_of(item).replace('_', '-')}"],
        default=canonical(item.default),
        show_default=True,
        metavar=kind.metavar,
        help=_sentence(text),
        shell_complete=_completing(kind),
    )


def _sentence(text: str) -> str:
    """The help of a setting with a capital and a full stop; a value at its start stays as it is."""
    is_value = ":" in text.split(maxsplit=1)[0]
    return (text if is_value else text[0].upper() + text[1:]) + "."


def _completing(kind: Kind) -> Any:  # noqa: ANN401 - as click takes it
    """What a shell may complete a value of this kind to."""

    def complete(
        _context: click.Context, _parameter: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        if kind.is_path:
            return [CompletionItem(incomplete, type="file")]
        done, comma, begun = incomplete.rpartition(",") if kind.is_list else ("", "", incomplete)
        words = [word for word in kind.words if word.startswith(begun)]
        return [CompletionItem(done + comma + word) for word in words]

    return complete


def _completion(group: click.Group) -> click.Command:
    """The command that prints a shell's script."""

    def callback(shell: str) -> None:
        found = get_completion_class(shell)
        assert found is not None  # noqa: S101 - click has all of `SHELLS`
        script = found(group, {}, COMMAND, f"_{COMMAND.replace('-', '_').upper()}_COMPLETE")
        click.echo(script.source())

    return click.Command(
        "completion",
        params=[click.Argument(["shell"], type=click.Choice(SHELLS))],
        callback=callback,
        short_help="Print the script by which a shell completes this command.",
        help="Print the script by which a shell completes this command.\n\n\b\n"
        f'bash: eval "$({COMMAND} completion bash)" in ~/.bashrc\n'
        f'zsh:  eval "$({COMMAND} completion zsh)" in ~/.zshrc\n'
        f"fish: {COMMAND} completion fish > ~/.config/fish/completions/{COMMAND}.fish",
    )
