"""A sweep over a real Ray cluster on loopback: a head and two nodes, some of which are killed."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from safetensors.numpy import load_file

from pipeline.cli import commands
from tests.steps.machines import PATIENCE, ROOT, Machines, at_epoch

pytest.importorskip("ray", reason='needs Ray: pip install "why-zero[ray]"')
pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.kill]

QUICK = (
    *("--devices", "cpu", "--epochs", "12", "--widths", "6,4", "--batch-size", "20"),
    *("--holdout", "50", "--mask-passes", "1", "--drop-rates", "0,0.3", "--seeds", "0-1"),
)
Numbers = dict[str, tuple[dict[str, list[tuple[int, float]]], dict[str, bytes]]]


def numbers(store: str, networks: list[Run], folder: Path) -> Numbers:
    """Of every network all points that do not depend on the clock, and its weights as bytes."""
    client = MlflowClient(store)
    found = {}
    for run in networks:
        points = {
            key: sorted((p.step, p.value) for p in client.get_metric_history(run.info.run_id, key))
            for key in run.data.metrics
            if not key.startswith(("speed/", "system/"))
        }
        path = client.download_artifacts(run.info.run_id, "state_dict.safetensors", str(folder))
        weights = {name: value.tobytes() for name, value in load_file(path).items()}
        assert all(np.frombuffer(value, np.float32).size for value in weights.values())
        found[run.info.run_name] = points, weights
    return found


@pytest.fixture
def sweep(
    experiment: str,
    store: str,
    small: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Numbers]:
    """What a sweep with these options measures, in an experiment of its own."""

    def run(*options: str) -> Numbers:
        name = f"{experiment} {secrets.token_hex(4)}"
        monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", name)
        monkeypatch.setenv("WHY_ZERO_WORKERS", "2")
        assert commands.run(["sweep", "--data", str(small), *QUICK, *options]) == 0
        client = MlflowClient(store)
        made = client.get_experiment_by_name(name)
        assert made is not None
        found = client.search_runs([made.experiment_id], "tags.kind = 'network'")
        assert len(found) == 4
        assert {run.data.tags["outcome"] for run in found} == {"finished"}
        # Of the machine that trains, which is not the step's own.
        has_system = {any(key.startswith("system/") for key in run.data.metrics) for run in found}
        assert has_system == {"ray" not in options}
        return numbers(store, found, tmp_path)

    return run


def test_a_sweep_in_a_cluster_is_the_local_one_to_the_last_bit_though_a_node_is_killed(
    sweep: Callable[..., Numbers],
    machines: Machines,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    local = sweep()
    told = at_epoch(3, machines.kill_trainer, monkeypatch)
    assert sweep("--engine", "ray", "--ray-address", machines.address) == local
    assert "another one goes on" in caplog.text
    assert told.count(0) == 2  # no stack has begun anew
    assert len(told) < 2 * 13 + 12
    assert machines.trainers() == 0


def test_a_head_that_is_killed_and_started_again_costs_no_epoch_that_was_kept(
    sweep: Callable[..., Numbers],
    machines: Machines,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    local = sweep()

    def restart() -> None:
        machines.kill_head()
        while machines.nodes:  # on this machine, no other head starts beside them
            machines.kill_node()
        machines.start_head()
        for _ in range(2):
            machines.start_node()

    told = at_epoch(3, restart, monkeypatch)
    assert sweep("--engine", "ray", "--ray-address", machines.address) == local
    assert "is gone; its stacks go on from their checkpoints" in caplog.text
    assert told.count(0) == 2


def test_ctrl_c_leaves_nobody_training(
    machines: Machines, small: Path, store: str, experiment: str, tmp_path: Path
) -> None:
    options = ("--engine", "ray", "--ray-address", "auto", "--epochs", "100000")
    environment = os.environ | {
        "RAY_ADDRESS": machines.address,
        "MLFLOW_TRACKING_URI": store,
        "MLFLOW_EXPERIMENT_NAME": experiment,
    }
    with subprocess.Popen(
        [sys.executable, "-m", "pipeline", "sweep", "--data", str(small), *QUICK, *options],
        env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as step:  # fmt: skip
        try:
            assert step.stdout is not None
            said = []
            for line in step.stdout:
                said.append(line)
                if " 1/100000" in line:
                    break
            assert machines.trainers() == 2, said
            step.send_signal(signal.SIGINT)
            assert step.wait(PATIENCE) == 128 + signal.SIGINT
        finally:
            step.kill()
    until = time.monotonic() + PATIENCE
    while machines.trainers():
        assert time.monotonic() < until, "a worker trains on"
        time.sleep(0.1)


def test_a_node_with_another_program_is_refused_in_one_line(
    sweep_fails: Callable[..., str], machines: Machines, tmp_path: Path
) -> None:
    machines.kill_node()
    (tmp_path / "other").mkdir()
    # As if another version were installed there.
    (tmp_path / "other/sitecustomize.py").write_text(
        "import importlib.metadata as m\nm.version = lambda name: '1.0'\n"
    )
    machines.start_node(PYTHONPATH=f"{tmp_path}/other{os.pathsep}{ROOT}")
    said = sweep_fails("--engine", "ray", "--ray-address", machines.address)
    assert "with torch" in said
    assert "got 1.0 on node 127.0.0.1: make them the same, or leave that node out" in said


def test_a_cluster_of_its_own_ends_with_the_step(
    sweep: Callable[..., Numbers], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = ray_processes()
    heard: list[str] = []

    def look() -> None:
        heard.extend(
            connection.laddr.ip
            for process in ray_processes() - before
            for connection in psutil.Process(process).net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN
        )

    at_epoch(3, look, monkeypatch)
    sweep("--engine", "ray")
    assert {address.removeprefix("::ffff:") for address in heard} == {"127.0.0.1"}
    assert ray_processes() == before


def ray_processes() -> set[int]:
    """Those of Ray's own programs on this machine."""
    return {
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if any(
            word in " ".join(process.info["cmdline"] or ())
            for word in ("gcs_server", "raylet", "ray::", "dashboard.py")
        )
    }


@pytest.fixture
def sweep_fails(
    pipeline: Callable[..., int], small: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """The one line that a sweep with these options ends with."""

    def run(*options: str) -> str:
        assert pipeline("sweep", "--data", small, *QUICK, *options) == 1
        [line] = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
        return line

    return run


def test_an_address_without_a_cluster_is_refused_in_one_line(
    sweep_fails: Callable[..., str],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    said = sweep_fails("--engine", "ray", "--ray-address", f"127.0.0.1:{port}")
    assert "a Ray cluster must be reachable" in said
    assert "start one with ray start --head, or give ray_address=local" in said
