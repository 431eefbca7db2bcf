"""The step `doctor`: a line for each thing that training needs, and what to do about it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from pipeline.steps import doctor
from pipeline.training import device as devices

Pipeline = Callable[..., int]


def shown(capsys: pytest.CaptureFixture[str]) -> dict[str, tuple[str, str]]:
    """Mark and text by name."""
    lines = [line for line in capsys.readouterr().out.splitlines() if line[4:5] == " "]
    return {line[5:15].strip(): (line[:4].strip(), line[16:]) for line in lines if line[16:]}


def test_where_all_is_well_it_says_so_and_leaves_no_run_and_no_file(
    pipeline: Pipeline,
    runs: Callable[..., list[Run]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert pipeline("doctor", "--device", "cpu") == 0
    out = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in out[:5]] == [
        ["ok", name] for name in ("system", "packages", "device", "store", "folders")
    ]
    assert out[-1] == "Training works here."
    assert runs() == []
    assert list(tmp_path.iterdir()) == []


def test_a_store_is_not_made_but_its_place_is_looked_at(
    pipeline: Pipeline,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/new/mlflow.db")
    assert pipeline("doctor") == 0
    assert shown(capsys)["store"][1].endswith("/new/mlflow.db, which the first run makes")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "mlruns").write_text("a file")
    assert pipeline("doctor") == 1
    mark, said = shown(capsys)["store"]
    assert mark == "no"
    assert said.startswith(f"an experiment's artifact folder must be writable, got {tmp_path}")


def test_everything_is_looked_at_although_something_is_wrong(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:hunter22@127.0.0.1:9")
    Path("checkpoints").write_text("a file")
    assert pipeline("doctor", "--device", "cuda:127") == 1
    both = capsys.readouterr()
    assert both.err.startswith("error: training needs all of these, and 3 checks failed")
    assert "hunter22" not in both.out
    marks = {line[5:15].strip(): line[:4].strip() for line in both.out.splitlines()}
    assert [marks[name] for name in ("system", "packages", "device", "store", "folders")] == [
        "ok", "ok", "no", "no", "no",
    ]  # fmt: skip
    assert "start it, or correct or unset MLFLOW_TRACKING_URI" in both.out


def test_packages_out_of_their_ranges_are_named_with_the_line_that_mends_them(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    needed = ["numpy>=2", "click>=99", "nosuch>=1; extra == 'pipeline'", "absent; extra == 'bench'"]
    monkeypatch.setattr(doctor, "_required", lambda: needed)
    assert pipeline("doctor") == 1
    mark, said = shown(capsys)["packages"]
    assert mark == "no"
    assert "nosuch not installed" in said
    assert said.endswith(': pip install "click>=99" "nosuch>=1"')
    assert "numpy" not in said
    assert "absent" not in said


def test_a_device_that_is_there_but_cannot_compute_is_found(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(devices, "resolve", lambda _: doctor.torch.device("meta"))
    assert pipeline("doctor") == 1
    mark, said = shown(capsys)["device"]
    assert mark == "no"
    assert said.startswith("a device must compute, got ")


def test_a_folder_that_refuses_locks_is_found(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(_: Path) -> None:
        raise NotImplementedError("FileSystem does not appear to support flock")

    monkeypatch.setattr(doctor, "beside", refuse)
    assert pipeline("doctor") == 1
    assert "support flock: start in another folder" in shown(capsys)["folders"][1]


def test_what_only_some_steps_need_is_a_note_with_its_command(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    programs = {"nvidia-smi"}
    monkeypatch.setattr(doctor.shutil, "which", lambda name: name if name in programs else None)
    monkeypatch.setattr(doctor, "find_spec", lambda name: None if name == "onnx" else name)
    monkeypatch.setattr(devices, "resolve", lambda _: doctor.torch.device("cpu"))
    assert pipeline("doctor") == 0
    found = shown(capsys)
    assert {name: mark for name, (mark, _) in found.items() if mark == "note"} == dict.fromkeys(
        ("mlflow run", "export", "tests", "gpu"), "note"
    )
    assert "pip install uv" in found["mlflow run"][1]
    assert found["export"][1] == "pip install 'why-zero[onnx]'"
    assert "apt install chromium" in found["tests"][1]
    programs |= {"uv", "google-chrome"}
    assert pipeline("doctor") == 0
    found = shown(capsys)
    assert found["mlflow run"] == ("ok", "uv makes environments")
    assert found["tests"] == ("ok", "with google-chrome")


@pytest.mark.parametrize(("device", "outcome"), [("cpu", "finished"), ("cuda:127", "mistake")])
def test_the_run_that_mlflow_run_opened_ends_with_it(
    pipeline: Pipeline,
    runs: Callable[..., list[Run]],
    store: str,
    experiment: str,
    monkeypatch: pytest.MonkeyPatch,
    *,
    device: str,
    outcome: str,
) -> None:
    client = MlflowClient(store)
    opened = client.create_run(client.create_experiment(experiment))
    monkeypatch.setenv("MLFLOW_RUN_ID", opened.info.run_id)
    assert pipeline("doctor", "--device", device) == (outcome == "mistake")
    [run] = runs()
    assert run.data.tags["outcome"] == outcome
