"""A proxy before a real server that fails as it is told, and what a server holds, to compare."""

import hashlib
import http.client
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mlflow import MlflowClient
from mlflow.entities import Run

from pipeline.tracking.journal import LOCAL

# What happens to a request: `None` for nothing, the code of an answer, or one of these words.
# `lost`: the server does its work, and the answer does not arrive. `gone`: nobody listens.
Held = dict[str, Any]
Fault = Callable[[str, str, int], int | str | None]
SLOW_SECONDS = 0.05
HANG_SECONDS = 3.0
_HOP = {"connection", "transfer-encoding", "content-length", "content-encoding", "host"}


class Proxy(ThreadingHTTPServer):
    """Passes requests on, unless `fault` says otherwise.

    Attributes:
        folder: of the server.
        fault: takes method, path and the number of the request.
        seen: the requests so far, as `POST runs/create`.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, upstream: str, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.upstream = urlsplit(upstream)
        self.fault: Fault = lambda *_: None
        self.seen: list[str] = []
        self.lock = threading.Lock()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def holds(
        self, experiment: str, *, ignored: tuple[str, ...] = (), has_content: bool = True
    ) -> Held:
        """What the server has of an experiment; see `holds`."""
        artifacts = self.folder / "mlartifacts"
        store = f"sqlite:///{self.folder}/mlflow.db"
        return holds(
            store, experiment, artifacts=artifacts, ignored=ignored, has_content=has_content
        )

    def reset(self, fault: Fault = lambda *_: None) -> None:
        self.fault, self.seen = fault, []

    def handle_error(self, *_: object) -> None:
        """A client that has left is no error."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _serve(self) -> None:
        server: Any = self.server
        body = self._body()
        name = re.sub(r".*/(mlflow|mlflow-artifacts)/", "", urlsplit(self.path).path)
        name = re.sub(r"(artifacts)/.*", r"\1", name)
        name = re.sub(r"m-[0-9a-f]{32}", "ID", name)
        with server.lock:
            number = len(server.seen)
            server.seen.append(f"{self.command} {name}")
        match server.fault(self.command, name, number):
            case None:
                self._answer(*self._forward(body))
            case "lost":
                self._forward(body)
                self._cut()
            case "gone":
                self._cut()
            case "hang":
                time.sleep(HANG_SECONDS)
                self._cut()
            case "slow":
                time.sleep(SLOW_SECONDS)
                self._answer(*self._forward(body))
            case int(status):
                self._answer(status, [("Retry-After", "1")], b"no")

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 - as it wants

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _forward(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        upstream = self.server.upstream  # type: ignore[attr-defined]
        connection = http.client.HTTPConnection(upstream.hostname, upstream.port, timeout=60)
        try:
            headers = {k: v for k, v in self.headers.items() if k.lower() not in _HOP}
            headers["Accept-Encoding"] = "identity"
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        except OSError:
            return 502, [], b"upstream is away"
        finally:
            connection.close()

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response(status)
        for key, value in headers:
            if key.lower() not in _HOP | {"date", "server"}:
                self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _cut(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def proxy_before(upstream: str, folder: Path) -> Iterator[Proxy]:
    """A proxy, listening while the block runs.

    Args:
        upstream: the server.
        folder: of its `mlflow.db` and its artifacts.
    """
    with Proxy(upstream, folder) as proxy:
        threading.Thread(target=proxy.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield proxy
        finally:
            proxy.shutdown()


def differences(left: object, right: object, where: str = "") -> list[str]:
    """Where two such things differ, in lines that can be read."""
    if left == right:
        return []
    if isinstance(left, dict) and isinstance(right, dict):
        pairs: list[tuple[str, object, object]] = [
            (key, left.get(key), right.get(key)) for key in sorted({*left, *right})
        ]
    elif isinstance(left, list | tuple) and type(left) is type(right) and len(left) == len(right):
        pairs = [(str(i), *pair) for i, pair in enumerate(zip(left, right, strict=True))]
    else:
        return [f"{where}: {left!r} and not {right!r}"]
    return [line for key, a, b in pairs for line in differences(a, b, f"{where}/{key}")]


def holds(
    store: str,
    experiment: str,
    *,
    artifacts: Path = Path(),
    ignored: tuple[str, ...] = (),
    has_content: bool = True,
) -> Held:
    """What a store has of an experiment, without what differs from one time to the next.

    Args:
        store: its database.
        experiment: the name.
        artifacts: the folder where a server keeps them.
        ignored: tags.
        has_content: with digests of the artifacts.
    """
    client = MlflowClient(store)
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    runs = client.search_runs([found.experiment_id], max_results=1000)
    assert not [run for run in runs if LOCAL.search(str(run.data.tags))]
    # An id as the name of its run.
    names = {run.info.run_id: f"<{run.info.run_name}>" for run in runs}
    models = client.search_logged_models([found.experiment_id])
    names |= {model.model_id: f"<model of {names[model.source_run_id]}>" for model in models}

    def plain(text: str) -> str:
        text = text.replace(f"experiments/{found.experiment_id}/", "experiments/<id>/")
        return re.sub("|".join(names) or "$^", lambda match: names[match[0]], text)

    def files(run: Run) -> Iterator[tuple[str, str]]:
        folder = Path(run.info.artifact_uri)
        if ":/" in run.info.artifact_uri:
            folder = artifacts / run.info.artifact_uri.partition(":/")[2]
        for path in (each for each in folder.rglob("*") if each.is_file()):
            content = path.read_bytes()
            with suppress(UnicodeDecodeError):
                content = plain(content.decode()).encode()
            # Names of pictures hold the time, and a unique id.
            name = re.sub(r"timestamp.\d+.[0-9a-f-]{36}", "at", str(path.relative_to(folder)))
            assert not LOCAL.search(content.decode(errors="replace")), name
            yield name, hashlib.blake2b(content).hexdigest() if has_content else ""

    volatile = {"journal", "process", *ignored}
    return {
        "runs": sorted(
            (
                run.info.run_name,
                run.info.status,
                dict(run.data.params),
                {
                    key: plain(value)
                    for key, value in run.data.tags.items()
                    if key not in volatile and not key.startswith("mlflow.source")
                },
                {
                    key: [
                        (point.step, point.value)
                        for point in client.get_metric_history(run.info.run_id, key)
                    ]
                    for key in run.data.metrics
                    if not key.startswith(("system/", "speed/"))
                },
                sorted(files(run)),
                [(each.dataset.name, each.dataset.digest) for each in run.inputs.dataset_inputs],
                [
                    (names[output.model_id], output.step)
                    for output in (run.outputs.model_outputs if run.outputs else [])
                ],
            )
            for run in runs
        ),
        "models": sorted(
            (
                names[model.model_id],
                model.name,
                model.status.name,
                dict(model.params or {}),
                sorted(
                    (each.key, each.value, each.step)
                    for each in model.metrics or []
                    if not each.key.startswith("speed/")
                ),
            )
            for model in models
        ),
    }
