"""The command line: help, errors in one line, exit codes."""

import errno
import logging
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import psutil
import pytest
import yaml

from pipeline import __version__, spare
from pipeline.cli import commands, mlproject
from pipeline.config.options import STEPS, PredictSettings
from pipeline.config.settings import declared, name_of
from pipeline.errors import PipelineError

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("step", STEPS)
def test_every_step_has_help_an_example_and_each_of_its_settings(
    step: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert commands.run([step, "--help"]) == 0
    shown = capsys.readouterr().out
    assert re.search(rf"Example: \S.* {step}( |$)", shown, re.MULTILINE)
    for item, _, _ in declared(STEPS[step]):
        assert f"--{name_of(item).replace('_', '-')} " in shown


def test_a_working_folder_that_is_gone_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert commands.run(["toy"]) == 1
    assert capsys.readouterr().err == (
        "error: the working folder must exist, got one that was deleted: go to another\n"
    )


def test_a_step_that_ends_before_it_trains_leaves_no_process_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(spare.WORKERS, raising=False)
    begin = Mock(wraps=spare.begin)
    monkeypatch.setattr(spare, "begin", begin)
    before = multiprocessing.active_children()
    assert commands.run(["mnist", "--data", "nothing/here"]) == 2
    begin.assert_called_once()
    deadline = time.monotonic() + 60  # it is ended once it has started
    while multiprocessing.active_children() != before and time.monotonic() < deadline:
        time.sleep(0.1)
    assert multiprocessing.active_children() == before


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no process groups like these")
def test_ctrl_c_while_all_processes_still_import_is_one_line(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline", "mnist", "--epochs", "1"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), spare.WORKERS: ""},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while len(psutil.Process(process.pid).children()) < 2:  # one that tracks, one to be copied
        assert process.poll() is None
        time.sleep(0.01)
    time.sleep(0.4)
    os.killpg(process.pid, signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert told.strip().startswith("stopped;")
    assert "Traceback" not in told


def test_help_imports_neither_torch_nor_mlflow_nor_numpy() -> None:
    program = (
        "import sys; from pipeline.cli import commands; commands.run(['mnist', '--help'])\n"
        "loaded = {'torch', 'mlflow', 'numpy', 'matplotlib', 'rich'} & set(sys.modules)\n"
        "sys.exit(f'loaded {loaded}' if loaded else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["toy", "--drop-rate", "1.5"], "drop_rate must be a number in [0, 1), got '1.5'"),
        (["mnist", "--drop_rate", "x"], "dashes between them, such as 0.5-0.5-0.2, got 'x'"),
        (["mnist", "--droprate", "0.5"], "'--droprate'. Did you mean '--drop-rate'?"),
        (["mnist", "--cake", "0.5"], "No such option '--cake'"),
        (["mnits"], "No such command 'mnits'. Did you mean 'mnist'?"),
        (["mnist", "--force", "yes"], "force must be true or false, got 'yes'"),
        (["sweep", "--no-seeds"], "No such option '--no-seeds'"),
        (["mnist", "--epochs"], "Option '--epochs' requires an argument"),
    ],
)
def test_a_usage_error_is_one_line_and_exit_code_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert commands.run(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert message in shown.err


def test_mlproject_is_what_the_settings_say() -> None:
    assert (ROOT / "MLproject").read_text(encoding="utf-8") == mlproject.render(), (
        "MLproject is stale: run `make project`"
    )


def test_mlproject_offers_every_step_but_those_that_take_values_without_a_name() -> None:
    offered = yaml.safe_load(mlproject.render())["entry_points"]
    assert set(STEPS) - set(offered) == {"explore", "predict", "explain", "open"}


def test_a_list_without_a_name_has_one_in_mlproject_and_stands_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    entry = yaml.safe_load(mlproject.render())["entry_points"]["publish"]
    assert entry["parameters"]["runs"] == {"type": "string"}  # without a default: it is required
    words = entry["command"].format(data="auto", runs="ab,sweep:latest").split()
    assert words[:3] == ["python", "-m", "pipeline"]
    assert words[-1] == "ab,sweep:latest"
    given = settings_of(monkeypatch, *words[3:])
    assert given.runs == ("run:ab", "sweep:latest")
    assert settings_of(monkeypatch, "publish", "ab", "cd").runs == ("run:ab", "run:cd")


def test_files_stand_before_or_after_the_options_and_a_dash_is_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken: list[PredictSettings] = []
    step = SimpleNamespace(run=lambda settings, _: taken.append(settings))
    monkeypatch.setitem(sys.modules, "pipeline.steps.predict", step)
    assert commands.run(["predict", "a.png", "--passes", "3", "-", "b.png"]) == 0
    assert commands.run(["predict", "--", "--odd name"]) == 0
    assert [one.images for one in taken] == [("a.png", "-", "b.png"), ("--odd name",)]
    assert [one.passes for one in taken] == [3, 0]


def settings_of(monkeypatch: pytest.MonkeyPatch, step: str, *arguments: str) -> Any:  # noqa: ANN401
    """What the step is given."""
    taken: list[object] = []
    module = SimpleNamespace(run=lambda settings, _: taken.append(settings))
    monkeypatch.setitem(sys.modules, f"pipeline.steps.{step}", module)
    assert commands.run([step, *arguments]) == 0
    return taken.pop()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), False),
        (("--force",), True),
        (("--force", "true"), True),
        (("--force", "False"), False),
        (("--force=false",), False),
        (("--no-force",), False),
        (("--force", "--epochs", "3"), True),
        (("--data", "--force"), False),  # the value of another option
    ],
)
def test_yes_or_no_may_stand_alone_or_have_a_value(
    arguments: tuple[str, ...], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert settings_of(monkeypatch, "mnist", *arguments).force is expected


def test_a_file_after_such_an_option_is_not_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of(monkeypatch, "predict", "--why", "a.png", "--", "--why")
    assert (settings.why, settings.images) == (True, ("a.png", "--why"))
    assert settings_of(monkeypatch, "open", "--no_browser").browser is False


def test_the_bare_command_shows_its_help_as_any_other_text(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert commands.run([]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert shown.out.startswith("Usage: ")
    assert commands.run(["--help"]) == 0
    assert capsys.readouterr().out == shown.out


def test_the_help_lists_whole_sentences_in_the_order_of_work(
    capsys: pytest.CaptureFixture[str],
) -> None:
    commands.run([])
    listed = capsys.readouterr().out.partition("Commands:")[2]
    entries = re.findall(r"^  (\S+) +(\S.*(?:\n {4,}.*)*)", listed, re.MULTILINE)
    assert [name for name, _ in entries] == [*STEPS, "completion"]
    assert all(re.fullmatch(r"[A-Z].*\w\.", " ".join(text.split())) for _, text in entries)


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.run(["--version"]) == 0
    assert capsys.readouterr().out == f"why-zero {__version__}\n"


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command as pip installs it: a script of its name on the path."""
    script = tmp_path_factory.mktemp("bin") / "why-zero"
    script.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        "from pipeline.__main__ import main\nif __name__ == '__main__':\n    main()\n"
    )
    script.chmod(0o755)
    return script


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["sw"], "sweep"),
        (["mnist", "--sel"], "--select"),
        (["mnist", "--select", ""], "last best"),
        (["mnist", "--force", "t"], "true"),
        (["sweep", "--activations", "relu,"], "relu,relu relu,none relu,sigmoid relu,leaky_relu"),
        (["completion", ""], "bash zsh fish"),
    ],
)
def test_bash_completes_steps_options_and_values(
    words: list[str], offered: str, command: Path
) -> None:
    """With the script that the command prints, in a real bash."""
    program = (
        'eval "$(why-zero completion bash)"; COMP_WORDS=(why-zero "$@"); COMP_CWORD=$#; '
        '_why_zero_completion why-zero; echo "${COMPREPLY[*]}"'
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", program, "bash", *words],
        env={**os.environ, "PATH": f"{command.parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == offered


@pytest.mark.kill
def test_ctrl_c_says_which_line_goes_on_where_it_stopped(command: Path, tmp_path: Path) -> None:
    line = ["sweep", "--epochs", "1000", "--widths", "8", "--data", "mnist", "--seeds", "0-1"]
    process = subprocess.Popen(
        [command, *line],
        cwd=tmp_path,
        env={**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("sweep of")
    assert process.stdout.readline().startswith("epoch")
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGINT
    assert error.splitlines()[-2:] == [
        "stopped; unfinished runs are marked as killed",
        f"to go on where it stopped:  why-zero {' '.join(line)}",
    ]


@pytest.mark.parametrize(
    ("line", "goes_on"),
    [
        ("sweep", True),
        ("main --force false --epochs 3", True),  # as `mlflow run` writes it
        ("mnist --force=false", True),
        ("sweep --force", False),  # which would begin anew
        ("sweep --force true", False),
        ("mnist --force=true", False),
        ("register", False),
    ],
)
def test_a_line_is_named_only_where_it_goes_on(line: str, goes_on: bool) -> None:
    assert ("to go on where it stopped:  x" in commands._stopped(line.split(), "x")) is goes_on


def test_several_failures_are_a_line_each(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise PipelineError("a.png is none\nb.png is none")

    monkeypatch.setitem(sys.modules, "pipeline.steps.predict", SimpleNamespace(run=fail))
    assert commands.run(["predict", "a.png", "b.png"]) == 1
    assert capsys.readouterr().err == "error: a.png is none\nerror: b.png is none\n"


def test_a_disk_that_fails_where_nobody_expects_it_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO), "a.png")

    monkeypatch.setitem(sys.modules, "pipeline.steps.predict", SimpleNamespace(run=fail))
    assert commands.run(["predict", "a.png"]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("error: the system must read and write what a step needs, got ")
    assert "Input/output error: 'a.png'" in line
    with pytest.raises(OSError, match=r"a\.png"):
        commands.run(["predict", "--debug", "a.png"])


def test_the_module_runs_as_a_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "mnist", "--holdout", "0", "--patience", "2"],
        cwd=ROOT,
        env={**os.environ, "MLFLOW_TRACKING_URI": "sqlite:///never.db"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: holdout must be at least 1 with patience=2, got 0")


def test_a_warning_shows_no_secret_and_steers_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    commands.run(["--version"])
    [handler] = logging.getLogger().handlers
    text = "no answer from http://me:hunter22@host, run 'a\x1b[2J'"
    record = logging.LogRecord("urllib3", logging.WARNING, "", 0, text, (), None)
    assert handler.format(record) == ("WARNING: no answer from http://***@host, run 'a\\x1b[2J'")
