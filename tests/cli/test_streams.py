"""Output that goes away while a step works: in real processes, with real pipes and full disks."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from mlflow import MlflowClient

from pipeline.cli import streams

ROOT = Path(__file__).parents[2]
SWEEP = ("sweep", "--epochs", "3", "--widths", "8", "--drop-rates", "0,0.5", "--seeds", "0")
LESS = ("--mask-passes", "0", "--devices", "cpu")
FULL = Path("/dev/full")
Start = Callable[..., "subprocess.Popen[str]"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix", reason="needs a shell that closes streams"),
]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Starts a command of the pipeline, or a line of shell around it, which is `"$@"`."""

    def run(*words: str, line: str = '"$@"', **streams: int) -> "subprocess.Popen[str]":
        command = ["sh", "-c", f"exec {line}", "sh", sys.executable, "-m", "pipeline", *words]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
        return subprocess.Popen(
            command,
            cwd=tmp_path,
            env=environment | {"PYTHONPATH": str(ROOT)},
            text=True,
            restore_signals=True,
            **streams,
        )

    return run


def check_nothing_is_lost(folder: Path) -> None:
    """Two networks with every point and file, and the sweep with its report."""
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    stored = client.search_runs(["0"])
    assert {run.info.status for run in stored} == {"FINISHED"}
    networks = [run for run in stored if run.data.tags["kind"] == "network"]
    [step] = [run for run in stored if run.data.tags["kind"] == "step"]
    assert len(networks) == 2
    for run in networks:
        history = client.get_metric_history(run.info.run_id, "val/loss")
        assert [point.step for point in history] == [0, 1, 2, 3]
        assert len(run.outputs.model_outputs) == 1
    names = {item.path for item in client.list_artifacts(step.info.run_id, "report")}
    assert "report/comparison.html" in names
    assert not list((folder / "checkpoints").glob("*/*"))


def test_a_reader_that_leaves_after_the_first_line_stops_nothing(
    start: Start, tmp_path: Path
) -> None:
    process = start(*SWEEP, *LESS, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == "sweep of 2 networks\n"
    process.stdout.close()
    with process.stderr:
        assert process.stderr.read() == ""
    assert process.wait() == 0
    check_nothing_is_lost(tmp_path)


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
@pytest.mark.parametrize(
    "line", ['"$@" > /dev/full 2> /dev/full', '"$@" >&- 2>&- <&-', '"$@" 2>&1 >/dev/full | true']
)
def test_output_that_nothing_takes_stops_nothing(line: str, start: Start, tmp_path: Path) -> None:
    if line.endswith("true"):
        # The exit code of the work, not of the reader.
        line = f"bash -o pipefail -c '{line}' bash \"$@\""
    assert start(*SWEEP, *LESS, line=line).wait() == 0
    check_nothing_is_lost(tmp_path)


@pytest.mark.parametrize("line", ['"$@" > /dev/full 2> /dev/full', '"$@" >&- 2>&-'])
def test_the_exit_code_is_that_of_the_work_also_where_it_fails(line: str, start: Start) -> None:
    assert start("sweep", "--drop-rates", "2", line=line).wait() == 2
    assert start("compare", line=line).wait() == 1


def test_no_file_takes_the_place_of_a_stream_that_was_closed(start: Start, tmp_path: Path) -> None:
    """Or what libraries say on standard error would be written into it."""
    line = '"$@" >&- 2>&- <&-'
    process = start("mnist", "--epochs", "1000", "--widths", "8", *LESS[:2], line=line)
    places = [Path(f"/proc/{process.pid}/fd/{number}") for number in range(3)]
    if not places[0].parent.exists():
        process.kill()
        pytest.skip("needs /proc")
    while not (tmp_path / "mlflow.db").exists():
        assert process.poll() is None
    targets = [str(place.readlink()) for place in places]
    process.send_signal(signal.SIGINT)
    assert process.wait() == 128 + signal.SIGINT
    assert targets == [os.devnull] * 3


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
def test_a_command_that_only_prints_fails_where_nothing_takes_it(start: Start) -> None:
    process = start("completion", "bash", line='"$@" > /dev/full', stderr=subprocess.PIPE)
    _, said = process.communicate()
    assert said == (
        "error: standard output must take what completion prints, got No space left on device: "
        "write it to another place\n"
    )
    assert process.returncode == 1
    # Who reads as much as is wanted has lost nothing.
    assert start("completion", "bash", line='"$@" | true').wait() == 0


def test_a_pipe_that_refuses_instead_of_waiting_gets_everything() -> None:
    """As one that shares its terminal with a program that has made it so."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    reader, writer = os.fdopen(reading, "rb"), os.fdopen(writing, "w")
    with ThreadPoolExecutor(1) as pool, reader, writer:
        text, lasting = streams._lasting(writer, writing)
        read = pool.submit(reader.read)
        text.write("x" * 1_000_000)  # more than a pipe holds
        text.flush()
        writer.close()
        assert read.result() == b"x" * 1_000_000
        assert lasting.problem is None


def test_a_character_that_the_stream_cannot_show_is_replaced(start: Start) -> None:
    process = start(
        "mnist",
        "--drop-rate",
        "→",
        line='env PYTHONIOENCODING=latin-1 "$@"',
        stderr=subprocess.PIPE,
    )
    _, said = process.communicate()
    assert said.startswith("error: drop_rate must be a number in [0, 1), or one for each layer")
    assert said.endswith("got '?'\n")
