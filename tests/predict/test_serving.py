"""`mlflow models serve`: the same numbers as everywhere, and an answer to every bad request."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import mlflow
import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.data import ImageData
from pipeline.tracking import Tracker

pytestmark = pytest.mark.server

MODEL = "models:/digits@champion"
PATIENCE = 120
JSON = "application/json"
Reply = tuple[int, dict[str, Any]]
Post = Callable[..., Reply]


@pytest.fixture(scope="module")
def address(tracker: Tracker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of its own for the tests of this file, on a free port of this machine alone."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("server")
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", MODEL]
    command += ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            command,
            cwd=folder,
            env=os.environ
            | {
                "MLFLOW_TRACKING_URI": tracker.uri,
                # Else MLflow would give the model, which stays on the CPU, a GPU's tensors.
                "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
                "MLFLOW_DEFAULT_PREDICTION_DEVICE": "cpu",
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            },
            stdout=log,
            stderr=subprocess.STDOUT,
            # A group of its own: the process that answers ends with the one that started it.
            start_new_session=True,
        )
    try:
        wait_for(f"http://127.0.0.1:{port}/ping", server, log=folder / "log")
        yield f"http://127.0.0.1:{port}/invocations"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(PATIENCE)


def wait_for(url: str, server: "subprocess.Popen[bytes]", *, log: Path) -> None:
    """Return when the server answers."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        assert server.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
    pytest.fail(f"no answer within {PATIENCE} s: {log.read_text()}")


@pytest.fixture
def post(address: str) -> Post:
    """Sends a body, or an object as JSON, and returns the status and what came back."""

    def call(body: object, kind: str = JSON) -> Reply:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(address, content, {"Content-Type": kind})  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as reply:  # noqa: S310
                return reply.status, json.loads(reply.read())
        except urllib.error.HTTPError as error:
            text = error.read().decode()
            return error.code, json.loads(text) if text.startswith("{") else {"message": text}

    return call


def said(reply: dict[str, Any]) -> str:
    """All that an error tells; the reason of a refusal by the model itself is in its trace."""
    return f"{reply.get('message', '')} {reply.get('stack_trace', '')}"


def blank(**changes: object) -> list[Any]:
    """One black image as nested lists, with the upper left pixel changed if asked."""
    image: list[Any] = np.zeros((1, 1, 28, 28)).tolist()
    if changes:
        image[0][0][0][0] = changes["pixel"]
    return image


@pytest.mark.parametrize("key", ["inputs", "instances"])
def test_a_server_gives_the_numbers_of_the_model_and_of_predict(
    key: str,
    post: Post,
    answers: Callable[..., list[dict[str, Any]]],
    mnist: ImageData,
    tracker: Tracker,
) -> None:
    images = mnist.test_images[:7]
    inputs = images[:, None] / 255
    status, reply = post({key: inputs.tolist()})
    assert status == 200
    served = np.array(reply["predictions"])
    model = tracker.registry.find(MODEL).source
    with torch.no_grad():
        expected = mlflow.pytorch.load_model(model)(inputs).numpy()
    np.testing.assert_allclose(served, expected, rtol=0, atol=1e-6)
    for place, image in enumerate(images.numpy()):
        Image.fromarray(image).save(f"{place}.png")
    found = answers(*(f"{place}.png" for place in range(7)))
    predicted = [list(one["logits"].values()) for one in found]
    np.testing.assert_allclose(served, predicted, rtol=0, atol=1e-6)


@pytest.mark.parametrize("count", [1, 2, 300])
def test_batches_of_any_size_are_served(count: int, post: Post) -> None:
    status, reply = post({"inputs": blank() * count})
    assert (status, len(reply["predictions"])) == (200, count)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param({"inputs": np.zeros((1, 28, 28)).tolist()}, "shape", id="no channel"),
        pytest.param({"inputs": np.zeros((1, 784)).tolist()}, "shape", id="flat"),
        pytest.param({"inputs": np.zeros((1, 1, 27, 28)).tolist()}, "shape", id="a row short"),
        pytest.param({"inputs": np.zeros((1, 3, 28, 28)).tolist()}, "shape", id="colour"),
        pytest.param({"inputs": []}, "Failed to enforce schema", id="no image"),
        pytest.param({"inputs": 3}, "shape", id="a number"),
        pytest.param({"inputs": [[[[0, 1], [2]]]]}, "inhomogeneous shape", id="ragged"),
        pytest.param({"inputs": blank(pixel="a")}, "could not convert string", id="text"),
        pytest.param({"inputs": {"x": blank()}}, "expects a single n-dimensional", id="named"),
        pytest.param({"images": blank()}, "exactly one of the input fields", id="other key"),
        pytest.param(
            {"inputs": blank(), "instances": blank()}, "exactly one of the input", id="both keys"
        ),
        pytest.param([1, 2], "Received a list", id="a list"),
        pytest.param(b"hello", "valid JSON formatted string", id="no JSON"),
        pytest.param(b"", "valid JSON formatted string", id="empty"),
        pytest.param(b"\xff\xfe{", "valid JSON formatted string", id="no UTF-8"),
    ],
)
def test_a_request_that_the_signature_excludes_is_a_400_with_the_reason(
    body: object, reason: str, post: Post
) -> None:
    status, reply = post(body)
    assert status == 400
    assert reason.lower() in said(reply).lower()


@pytest.mark.parametrize(
    "pixel", [255, -0.01, 1.01, 1e300, float("nan"), float("inf"), float("-inf"), None]
)
def test_values_that_no_pixel_has_are_a_400_with_the_models_own_reason(
    pixel: float | None, post: Post
) -> None:
    status, reply = post({"inputs": blank(pixel=pixel) + blank()})
    assert status == 400
    assert "every input must be a number in [0, 1]" in said(reply)


def test_another_kind_of_content_is_a_415(post: Post) -> None:
    status, reply = post(b"\x89PNG", "image/png")
    assert status == 415
    assert "only supports the following content types" in said(reply)


def test_tables_fit_no_image(post: Post) -> None:
    status, _ = post(b"1,2\n3,4\n", "text/csv")
    assert status == 400
    status, _ = post({"dataframe_split": {"columns": [0], "data": [[1]]}})
    assert status == 400


def test_the_server_still_answers_after_all_of_this(post: Post) -> None:
    post({"inputs": blank(pixel=float("nan"))})
    assert post({"inputs": blank()})[0] == 200


def test_what_is_mlflows_own_is_as_the_readme_says(address: str, post: Post) -> None:
    """A later MLflow may do better: then the README's list becomes shorter."""
    deep = b'{"inputs":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    assert post(deep)[0] == 500
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=PATIENCE)
    connection.request("POST", "/invocations", json.dumps({"inputs": blank()}))
    assert connection.getresponse().status == 500  # for want of a Content-Type
    connection.close()
    assert post({"inputs": blank(pixel=True)})[0] == 200
    assert post({"inputs": blank(pixel="0.5")})[0] == 200
