"""What the step `export` writes: everything, the same bytes each time, usable by strangers."""

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import mlflow
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from mlflow import MlflowClient
from numpy.typing import NDArray
from safetensors.numpy import load_file

from pipeline.cli import commands
from pipeline.data import prepared, write_prepared
from pipeline.data.images import Part, assemble

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
Export = Callable[..., int]


@pytest.fixture
def export(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Export:
    """Runs the step from the exported network's store, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{exported.parent}/mlflow.db")
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    (tmp_path / "prepared").symlink_to(exported.parent / "prepared")
    return lambda *arguments: commands.run(
        ["export", "--model", "models:/mine@champion", *map(str, arguments)]
    )


def test_every_file_but_the_list_itself_has_its_digest_in_the_list(exported: Path) -> None:
    done = subprocess.run(
        ["sha256sum", "--strict", "-c", "SHA256SUMS"],
        cwd=exported,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0
    files = [path for path in exported.rglob("*") if path.is_file()]
    assert done.stdout.count(b": OK\n") == len(files) - 1


def test_it_tells_where_the_network_comes_from(exported: Path) -> None:
    said = json.loads((exported / "bundle.json").read_text())
    run = json.loads((exported / "run.json").read_text())
    assert said["model"] == "models:/mine/1"
    [stored] = MlflowClient(f"sqlite:///{exported.parent}/mlflow.db").search_runs(["1"])
    assert said["run"] == run["id"] == stored.info.run_id
    assert said["experiment"] == "of the bundle"
    assert said["dataset_digest"] == run["parameters"]["dataset_digest"]
    assert said["classes"] == ["a", "b", "c"]
    assert (said["input_shape"], said["output_shape"]) == ([-1, 1, 6, 5], [-1, 3])
    assert f"torch=={torch.__version__.partition('+')[0]}" in said["requirements"]
    assert (exported / "model_card.md").read_text() == "# Card\n\nA card.\n"
    assert run["tags"]["mlflow.note.content"] == "# A network"


def test_every_point_of_every_metric_is_there_with_step_and_time(exported: Path) -> None:
    metrics = json.loads((exported / "metrics.json").read_text())
    assert [(step, value) for step, _, value in metrics["val/loss"]] == [
        (0, 1.0), (1, 0.5), (2, 1 / 3),
    ]  # fmt: skip
    assert metrics["odd"] == [[7, 1000, 3.0], [7, 1001, 3.0], [8, 1002, "NaN"]]


def test_onnx_was_compared_on_the_whole_test_set(exported: Path) -> None:
    said = json.loads((exported / "bundle.json").read_text())["onnx"]
    assert (said["images"], said["compared_on"]) == (37, "the test set of mine")
    assert said["largest_difference"] <= 1e-4
    assert "37 images, the test set of mine" in (exported.parent / "said.txt").read_text()


@pytest.mark.parametrize("count", [1, 2, 37])
def test_onnx_gives_the_logits_of_the_state_dict_for_any_batch(
    exported: Path, test_images: torch.Tensor, count: int
) -> None:
    weights = load_file(exported / "artifacts" / "state_dict.safetensors")
    pixels = test_images[:count].numpy().reshape(count, -1).astype(np.float32) / 255
    hidden = np.maximum(pixels @ weights["linear1.weight"].T + weights["linear1.bias"], 0)
    expected = hidden @ weights["linear2.weight"].T + weights["linear2.bias"]
    session = onnxruntime.InferenceSession(exported / "model.onnx")
    [given] = session.run(None, {"images": pixels.reshape(count, 1, 6, 5)})
    np.testing.assert_allclose(given, expected, rtol=1e-4, atol=1e-5)


def test_onnx_states_its_opset_and_names_no_folder_of_this_machine(exported: Path) -> None:
    model = onnx.load(exported / "model.onnx")
    assert [(item.domain, item.version) for item in model.opset_import] == [("", 20)]
    content = (exported / "model.onnx").read_bytes()
    assert b"site-packages" not in content
    assert str(ROOT).encode() not in content


def test_the_model_folder_is_one_that_mlflow_loads(
    exported: Path, test_images: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    images = test_images[:7, None] / 255
    graph = mlflow.pytorch.load_model(str(exported / "model"))
    generic = mlflow.pyfunc.load_model(str(exported / "model"))
    with torch.no_grad():
        np.testing.assert_array_equal(generic.predict(images.numpy()), graph(images).numpy())


def test_what_could_be_a_pickle_stays_out_and_is_named(exported: Path) -> None:
    assert not (exported / "artifacts" / "notes" / "weights.pkl").exists()
    assert json.loads((exported / "bundle.json").read_text())["left_out"] == ["notes/weights.pkl"]
    assert "left out: notes/weights.pkl" in (exported.parent / "said.txt").read_text()
    assert "Left out of this bundle: `notes/weights.pkl`" in (exported / "README.md").read_text()


def test_the_same_version_gives_the_same_bytes(
    exported: Path, export: Export, tmp_path: Path
) -> None:
    assert export("--out", "one.zip") == 0
    assert export("--out", "two.zip") == 0
    one, two = (hashlib.sha256((tmp_path / name).read_bytes()) for name in ("one.zip", "two.zip"))
    assert one.digest() == two.digest()
    with zipfile.ZipFile("one.zip") as archive:
        assert archive.read("SHA256SUMS") == (exported / "SHA256SUMS").read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"one.zip", "two.zip", "prepared"}


def test_without_the_data_onnx_is_compared_on_the_input_example_and_says_so(
    export: Export, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "prepared").unlink()
    assert export("--out", "alone") == 0
    shown = capsys.readouterr().out
    assert "the data set mine" in shown
    assert "is not available" in shown
    said = json.loads(Path("alone/bundle.json").read_text())["onnx"]
    assert said["images"] == 4
    assert "input example" in said["compared_on"]
    assert "input example" in Path("alone/README.md").read_text()


def test_data_of_another_digest_are_refused(
    export: Export, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = prepared("mine")
    images = found.train_images.clone()
    images[0, 0, 0] ^= 1
    spoilt = assemble(
        "spoilt",
        Part(images, found.train_labels),
        test=Part(found.test_images, found.test_labels),
        classes=found.classes,
        source="here",
        licence="?",
    )
    path = write_prepared(spoilt, tmp_path / "elsewhere")
    assert export("--out", "other", "--data", path) == 1
    assert "data must be what the network was trained on, mine" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


def test_what_is_there_is_not_written_over(
    export: Export, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "mine.jpg").write_text("dear to me")
    (tmp_path / "notes.zip").write_text("dear to me")
    for out in ("photos", "notes.zip", "."):
        assert export("--out", out) == 1
        assert "must not exist yet" in capsys.readouterr().err
        assert export("--out", out, "--force", "true") == 1
        assert "only a bundle can be replaced" in capsys.readouterr().err
    assert (tmp_path / "photos" / "mine.jpg").read_text() == "dear to me"
    assert (tmp_path / "notes.zip").read_text() == "dear to me"


def test_what_an_export_left_that_was_killed_at_its_end_is_removed_by_the_next_also_if_refused(
    export: Export, bundle: Path
) -> None:
    left = bundle.parent / f".{bundle.name}.0123abcd.part"
    left.mkdir()
    (left / "lock").touch()
    assert export("--out", bundle) == 1
    assert not left.exists()
    assert bundle.exists()


def test_force_replaces_a_bundle_unless_it_holds_something_else(
    export: Export, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (bundle / "notes.txt").write_text("dear to me")
    assert export("--out", bundle, "--force", "true") == 1
    assert "holds more" in capsys.readouterr().err
    (bundle / "notes.txt").unlink()
    (bundle / "README.md").write_text("out of date")
    assert export("--out", bundle, "--force", "true") == 0
    assert "# models:/mine/1" in (bundle / "README.md").read_text()


def test_an_export_that_fails_leaves_nothing(
    export: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pipeline.steps.export.fetch_artifacts", full)
    assert export("--out", "deep/bundle.zip") == 1
    assert [path.name for path in (tmp_path / "deep").iterdir()] == []


def test_without_the_extra_export_says_how_to_install_it(
    export: Export, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if name == "onnxscript" else object()
    )
    assert export("--out", "bundle") == 1
    shown = capsys.readouterr().err
    assert 'got no onnxscript: install them with pip install ".[onnx]"' in shown


PREDICT = """
import runpy, sys
for name in ("torch", "mlflow", "onnx", "safetensors", "pipeline"):
    sys.modules[name] = None  # whoever imports it fails
sys.argv = ["predict.py", *sys.argv[1:]]
runpy.run_path("predict.py", run_name="__main__")
"""


def predict(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", "-c", PREDICT, *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_predict_classifies_with_numpy_and_onnxruntime_alone(
    exported: Path, test_images: torch.Tensor, tmp_path: Path
) -> None:
    images = test_images.numpy()
    np.save(tmp_path / "images.npy", images)
    weights = load_file(exported / "artifacts" / "state_dict.safetensors")
    pixels = images.reshape(37, -1).astype(np.float32) / 255
    hidden = np.maximum(pixels @ weights["linear1.weight"].T + weights["linear1.bias"], 0)
    logits = hidden @ weights["linear2.weight"].T + weights["linear2.bias"]
    done = predict(exported, str(tmp_path / "images.npy"))
    assert done.returncode == 0, done.stderr
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert [line[1] for line in lines] == ["abc"[index] for index in logits.argmax(1)]
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose([float(line[2]) for line in lines], shares.max(1), atol=1e-4)


def test_predict_reads_idx_files_and_without_one_the_input_example(
    exported: Path, test_images: torch.Tensor, tmp_path: Path
) -> None:
    header = b"\0\0\x08\x03" + b"".join(n.to_bytes(4, "big") for n in (4, 6, 5))
    (tmp_path / "idx").write_bytes(header + test_images[:4].numpy().tobytes())
    from_idx = predict(exported, str(tmp_path / "idx"))
    assert from_idx.stdout.count("\n") == 4
    assert predict(exported).stdout == from_idx.stdout


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((2, 7, 5), np.uint8), "of shape [1, 6, 5]"),
        (np.full((6, 5), 2.0), "must lie in [0, 1]"),
        (np.zeros((6, 5), "S1"), "bytes or floats"),
        (np.zeros((0, 6, 5), np.uint8), "of shape"),
    ],
)
def test_predict_answers_a_mistake_with_one_line(
    exported: Path, array: NDArray[np.generic], said: str, tmp_path: Path
) -> None:
    np.save(tmp_path / "images.npy", array)
    done = predict(exported, str(tmp_path / "images.npy"))
    assert done.returncode == 1
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
