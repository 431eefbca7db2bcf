"""The server of the documentation: PostgreSQL, artifacts by proxy, TLS and names, on loopback."""

import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

import mlflow
import numpy as np
import pytest
import torch
from mlflow import MlflowClient

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/server.md").read_text("utf-8")
PATIENCE = 120
SECRET = "hunter22hunter22"  # noqa: S105

pytestmark = [pytest.mark.server, pytest.mark.slow]


def lines(language: str, containing: str) -> str:
    """The block of the page that holds this."""
    blocks = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    [found] = [block for block in blocks if containing in block]
    return str(found)


@dataclass(frozen=True, kw_only=True)
class Served:
    """The server, and the environment of one who trains.

    Attributes:
        folder: with its certificate, passwords and artifacts.
        port: where it listens.
        environment: as the page sets it, for `ada`.
    """

    folder: Path
    port: int
    environment: dict[str, str]

    def run(self, *words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """A command of the pipeline."""
        return subprocess.run(
            [sys.executable, "-m", "pipeline", *words],
            cwd=self.folder / "work",
            env=self.environment | {"PYTHONPATH": python_path()} | environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE * 2,
            check=False,
        )


def python_path() -> str:
    return os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))


@pytest.fixture(scope="module")
def served(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server as the page starts it, with the test's folders, port and PostgreSQL."""
    pytest.importorskip("flask_wtf", reason='needs Flask-WTF: pip install "mlflow[auth]"')
    for program in ("openssl", "curl", "bash"):
        if shutil.which(program) is None:
            pytest.skip(f"needs {program}")
    folder = tmp_path_factory.mktemp("srv")
    (folder / "work").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    socket_folder = database.partition("host=")[2]

    def here(text: str) -> str:
        """The page's text with what is the test's own; whatever is replaced must be there."""
        for old, new in (
            ("5000", str(port)),
            ("0.0.0.0", "127.0.0.1"),  # noqa: S104
            ("--workers 4", "--workers 1"),
            ("venv/bin/mlflow", f"{sys.executable} -m mlflow"),
            # As the cluster's own user, which its socket lets in like Debian's lets `mlflow` in.
            ("postgresql:///mlflow_auth?", "postgresql+psycopg2://postgres@/template1?"),
            ("postgresql:///mlflow?", "postgresql+psycopg2://postgres@/postgres?"),
            ("/run/postgresql", socket_folder),
        ):
            text = text.replace(old, new)
        return text

    (folder / "auth.ini").write_text(here(lines("ini", "[mlflow]")))
    for name in ("admin-password", "secret"):
        (folder / name).write_text(SECRET)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
    environment |= {"NAME": "127.0.0.1", "KIND": "IP", "WHO": "ada", "PASSWORD": SECRET[::-1]}
    environment |= {"PYTHONPATH": python_path(), "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}

    def bash(text: str) -> None:
        subprocess.run(
            ["bash", "-euc", here(text)], cwd=folder, env=environment, check=True,
            capture_output=True, timeout=PATIENCE,
        )  # fmt: skip

    bash(lines("sh", "openssl req"))
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            ["bash", "-euc", here(lines("sh", "mlflow server"))],
            cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        wait_for(f"https://127.0.0.1:{port}/health", folder, server)
        bash(lines("sh", "users/create").replace("curl", "curl --fail"))
        setting = here(lines("sh", "MLFLOW_TRACKING_URI")) + "env -0"
        printed = subprocess.run(
            ["bash", "-euc", setting], cwd=folder, env=environment, check=True, capture_output=True
        ).stdout.decode()
        used = dict(line.split("=", 1) for line in printed.split("\0") if line)
        used["MLFLOW_TRACKING_SERVER_CERT_PATH"] = str(folder / "cert.pem")
        yield Served(folder=folder, port=port, environment=used)
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait(PATIENCE)


def wait_for(address: str, folder: Path, server: "subprocess.Popen[bytes]") -> None:
    """Return when the server answers."""
    trusted = ssl.create_default_context(cafile=folder / "cert.pem")
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        assert server.poll() is None, (folder / "log").read_text()
        try:
            with urllib.request.urlopen(address, timeout=5, context=trusted):  # noqa: S310
                return
        except (URLError, OSError):
            time.sleep(0.2)
    pytest.fail((folder / "log").read_text())


def test_a_network_is_trained_into_it_and_loaded_from_it(
    served: Served, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    healthy = served.run("doctor", "--device", "cpu")
    assert healthy.returncode == 0, healthy.stdout
    address = f"https://127.0.0.1:{served.port}"
    assert f"at {address}, experiment 'of ada', artifacts in mlflow-artifacts:/" in healthy.stdout
    options = ("--epochs", "1", "--widths", "8", "--holdout", "50", "--device", "cpu")
    line = ("mnist", "--data", str(small), *options)
    done = served.run(*line)
    assert done.returncode == 0, done.stderr
    assert SECRET[::-1] not in done.stdout + done.stderr
    again = served.run(*line)
    assert "already trained" in again.stdout, again.stderr
    for name, value in served.environment.items():
        if name.startswith("MLFLOW_"):
            monkeypatch.setenv(name, value)
    monkeypatch.setattr(mlflow.tracking._tracking_service.utils, "_tracking_uri", None)
    client = MlflowClient(address)
    experiment = client.get_experiment_by_name("of ada")
    assert experiment is not None
    [run] = client.search_runs([experiment.experiment_id], "tags.kind = 'network'")
    assert run.info.status == "FINISHED"
    points = client.get_metric_history(run.info.run_id, "val/loss")
    assert [point.step for point in points] == [0, 1]
    names = {item.path for item in client.list_artifacts(run.info.run_id)}
    assert {"state_dict.safetensors", "history.safetensors", "plots"} <= names
    stored = [path.name for path in (served.folder / "artifacts").rglob("*")]
    assert "state_dict.safetensors" in stored  # the server has them, not the machine that trained
    assert not (served.folder / "work" / "mlruns").exists()
    [output] = run.outputs.model_outputs
    model = mlflow.pytorch.load_model(f"models:/{output.model_id}")
    images = torch.zeros((2, 1, 6, 5))
    assert np.isfinite(model(images).detach().numpy()).all()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"MLFLOW_TRACKING_PASSWORD": "wrong-password"}, "set MLFLOW_TRACKING_USERNAME and"),
        ({"MLFLOW_EXPERIMENT_NAME": "Default"}, "set MLFLOW_TRACKING_USERNAME and"),  # only read
        ({"MLFLOW_TRACKING_SERVER_CERT_PATH": ""}, "certificate must be verified, got self"),
    ],
)
def test_who_may_not_write_is_told_before_anything_is_trained(
    served: Served, changed: dict[str, str], said: str
) -> None:
    for words in (("doctor",), ("toy",)):
        done = served.run(*words, **changed)
        assert done.returncode == 1
        assert said in done.stdout + done.stderr
        assert "wrong-password" not in done.stdout + done.stderr


def test_nobody_gets_in_without_a_name(served: Served) -> None:
    trusted = ssl.create_default_context(cafile=served.folder / "cert.pem")
    request = urllib.request.Request(
        f"https://127.0.0.1:{served.port}/api/2.0/mlflow/experiments/search",
        data=json.dumps({"max_results": 1}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with pytest.raises(URLError, match="401"):
        urllib.request.urlopen(request, timeout=PATIENCE, context=trusted)  # noqa: S310
