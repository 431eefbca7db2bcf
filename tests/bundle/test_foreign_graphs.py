"""Graphs (pt2, ONNX) from outside are programs: none is opened, and the network is rebuilt."""

import io
import json
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import mlflow
import numpy as np
import onnxruntime
import pytest
import torch
from mlflow import MlflowClient
from PIL import Image

from pipeline.cli import commands
from pipeline.tracking import ISOLATED_LOAD, isolated_load

pytestmark = pytest.mark.slow

ADDRESS = "models:/mine@champion"


class Command:
    """A pickle that creates a file as soon as it is read."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.marker,)


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """The file that is there once foreign code has run."""
    return tmp_path / "foreign code has run"


def directory_of(content: bytes) -> int:
    """Where the directory of a zip begins, by its end record."""
    return int(struct.unpack_from("<I", content, content.rindex(b"PK\5\6") + 16)[0])


def two_faced(shown: dict[str, bytes], *, hidden: dict[str, bytes]) -> bytes:
    """A zip in which `zipfile` reads one set of contents and torch another, under one set of names.

    `zipfile` takes the directory in front of the end record and shifts every place by what lies
    unexpectedly before the archive; torch believes the place that the end record names.
    """
    archives = []
    for contents in (hidden, shown):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            for name, content in contents.items():
                archive.writestr(zipfile.ZipInfo(name), content)
        archives.append(file.getvalue())
    places = [directory_of(content) for content in archives]
    room = max(places)
    whole = b""
    for content, place in zip(archives, places, strict=True):
        end = content.rindex(b"PK\5\6")
        whole += content[:place].ljust(room, b"\0") + content[place:end]
    record = bytearray(archives[1][archives[1].rindex(b"PK\5\6") :])
    struct.pack_into("<I", record, 16, room)
    return whole + bytes(record)


def poisoned(graph: Path, marker: Path) -> bytes:
    """The graph as `zipfile` reads it; torch finds a weight that is to be unpickled."""
    with zipfile.ZipFile(graph) as archive:
        shown = {name: archive.read(name) for name in archive.namelist()}
    [table] = [name for name in shown if name.endswith("model_weights_config.json")]
    weights = json.loads(shown[table])
    entry = next(iter(weights["config"].values()))
    entry["use_pickle"] = True
    pickled = io.BytesIO()
    torch.save(Command(marker), pickled)
    weight = table.replace("model_weights_config.json", entry["path_name"])
    hidden = shown | {table: json.dumps(weights).encode(), weight: pickled.getvalue()}
    return two_faced(shown, hidden=hidden)


def test_the_attack_works_on_whoever_opens_the_graph(bundle: Path, marker: Path) -> None:
    graph = bundle / "model" / "data" / "model.pt2"
    graph.write_bytes(poisoned(graph, marker))
    with zipfile.ZipFile(graph) as archive:
        assert archive.testzip() is None
    code = f"import torch; torch.export.load({str(graph)!r})"
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert marker.exists()


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty store in the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/here.db")
    for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def bring(bundle: Path, store: Path) -> Path:
    """Import the bundle, and return its model's graph in the store."""
    command = ["import", "--bundle", str(bundle), "--to", f"sqlite:///{store}/here.db"]
    assert commands.run(command) == 0
    [graph] = [path for path in store.rglob("model.pt2") if bundle not in path.parents]
    return graph


def predict_and_export(store: Path) -> None:
    Image.fromarray(np.eye(6, 5, dtype=np.uint8) * 255).save(store / "a.png")
    options = ("--layout", "whole", "--why", "true")
    assert commands.run(["predict", "a.png", "--model", ADDRESS, *options]) == 0
    assert commands.run(["export", "--model", ADDRESS, "--out", str(store / "again")]) == 0


def test_a_graph_in_a_bundle_is_never_opened_and_written_anew(
    bundle: Path, sign: Callable[[Path], None], store: Path, marker: Path, test_images: torch.Tensor
) -> None:
    original = bundle / "model" / "data" / "model.pt2"
    images = test_images[:, None] / 255
    expected = torch.export.load(original).module()(images)
    original.write_bytes(poisoned(original, marker))
    sign(bundle)
    graph = bring(bundle, store)
    predict_and_export(store)
    assert not marker.exists()
    assert torch.equal(torch.export.load(graph).module()(images), expected)
    assert not marker.exists()


def test_a_graph_in_a_store_that_others_write_to_is_opened_by_neither_predict_nor_export(
    bundle: Path, store: Path, marker: Path
) -> None:
    graph = bring(bundle, store)
    graph.write_bytes(poisoned(graph, marker))
    predict_and_export(store)
    assert not marker.exists()


def test_the_isolated_process_reads_what_was_searched_for_pickles(
    bundle: Path, store: Path, marker: Path
) -> None:
    graph = bring(bundle, store)
    graph.write_bytes(poisoned(graph, marker))
    np.savez(store / "batches.npz", a=np.zeros((2, 1, 6, 5), np.float32))
    command = [sys.executable, "-I", str(ISOLATED_LOAD), ADDRESS, "batches.npz", "answers.npz"]
    subprocess.run(command, check=True, capture_output=True)
    assert np.load("answers.npz")["pytorch a"].shape == (2, 3)
    assert not marker.exists()


def field(number: int, content: bytes | int, *, beyond: int = 0) -> bytes:
    """A field of a protocol-buffer message; its tag may carry bits beyond those that count."""
    is_bytes = isinstance(content, bytes)
    head = varint(beyond | number << 3 | (2 if is_bytes else 0))
    return head + (varint(len(content)) + content if is_bytes else varint(content))


def varint(value: int) -> bytes:
    groups = [value >> shift & 0x7F for shift in range(0, max(value.bit_length(), 1), 7)]
    return bytes([*(group | 0x80 for group in groups[:-1]), groups[-1]])


def hidden_external_data(place: str) -> bytes:
    """An ONNX model whose one weight lies in another file, which tags of five bytes hide."""
    beyond = 1 << 32
    entry = field(1, b"location") + field(2, place.encode())
    weight = field(1, 1) + field(2, 1) + field(8, b"w")
    weight += field(13, entry, beyond=beyond) + field(14, 1, beyond=beyond)
    node = field(1, b"w") + field(2, b"y") + field(4, b"Identity")
    vector = field(1, field(1, 1) + field(2, field(1, field(1, 1))))  # float32, of one number
    output = field(1, b"y") + field(2, vector)
    graph = field(1, node) + field(2, b"g") + field(5, weight) + field(12, output)
    return field(1, 10) + field(7, graph) + field(8, field(2, 20))


def test_onnx_in_a_bundle_is_never_opened_and_reaches_no_store(
    bundle: Path,
    sign: Callable[[Path], None],
    store: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content = hidden_external_data("/etc/hostname")
    (bundle / "model.onnx").write_bytes(content)
    sign(bundle)
    with monkeypatch.context() as patched:
        for name in ("onnx", "onnxruntime"):
            patched.setitem(sys.modules, name, None)  # importing it fails
        bring(bundle, store)
    for path in store.rglob("*"):
        if path.is_file() and bundle not in path.parents:
            assert content not in path.read_bytes()


def test_a_reader_of_onnx_follows_the_hidden_place(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(hidden_external_data("elsewhere"))
    (tmp_path / "elsewhere").write_bytes(struct.pack("<f", 1.5))
    session = onnxruntime.InferenceSession(tmp_path / "a.onnx")
    assert session.run(None, {})[0].tolist() == [1.5]


def test_an_archive_that_is_written_anew_holds_what_zipfile_reads(tmp_path: Path) -> None:
    path, shown = tmp_path / "a.pt2", {"a/version": b"3\n", "a/b": b"shown"}
    path.write_bytes(two_faced(shown, hidden=shown | {"a/b": b"hidden and longer"}))
    reader = torch.PyTorchFileReader(str(path))
    assert reader.get_record("b") == b"hidden and longer"
    isolated_load.rewrite(path)
    assert torch.PyTorchFileReader(str(path)).get_record("b") == b"shown"


def test_the_model_that_was_imported_loads_in_mlflow_with_pickles_refused(
    bundle: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(bundle, store)
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    model = mlflow.pytorch.load_model(ADDRESS)
    assert model(torch.zeros(2, 1, 6, 5)).shape == (2, 3)
    version = MlflowClient().get_model_version_by_alias("mine", "champion")
    assert version.name == "mine"
