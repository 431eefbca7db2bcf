"""The command line: help, errors in one line, exit codes."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

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
    assert f"Example: {step} " in shown
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
        (["mnist", "--drop-rate", "1.5"], "drop_rate must be a number in [0, 1), got '1.5'"),
        (["mnist", "--drop_rate", "x"], "drop_rate must be a number in [0, 1), got 'x'"),
        (["mnist", "--drop-rat", "0.5"], "No such option '--drop-rat'"),
        (["mnits"], "No such command 'mnits'"),
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
    assert set(STEPS) - set(offered) == {"predict", "explain"}


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


def test_several_failures_are_a_line_each(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise PipelineError("a.png is none\nb.png is none")

    monkeypatch.setitem(sys.modules, "pipeline.steps.predict", SimpleNamespace(run=fail))
    assert commands.run(["predict", "a.png", "b.png"]) == 1
    assert capsys.readouterr().err == "error: a.png is none\nerror: b.png is none\n"


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
