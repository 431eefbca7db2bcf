"""Every command that the documentation shows is run, as it stands there."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from mlflow.entities import Run
from PIL import Image

from pipeline.cli import commands
from pipeline.data import load
from pipeline.foreign import load_module

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PROGRAM = re.compile(
    r"    ((?:[A-Z_]+=\S+ )*(?:why-zero|mlflow|python3?|pip|make|unzip|curl|git) .*)"
)
FASHION = Path("/usr/share/datasets/fashion-mnist")
# Run elsewhere: where, and by whom.
ELSEWHERE = {
    'pip install ".[test]" && pytest': "what runs this test",
    "pip install .": "what builds the package for it",
    'pip install ".[onnx]"': "part of the extra `test`",
    'pip install ".[dev]" && pre-commit install': "CI, but for the hook",
    'pip install "why-zero[ray]"': "tests of a cluster, where Ray is installed",
    "why-zero sweep --engine ray --ray-address auto --drop-rates 0:0.8:0.1 --seeds 0-9": (
        "tests of a cluster"
    ),
    "make check": "CI",
    "python3 -m venv .venv && source .venv/bin/activate": "CI",
    "mlflow run . --env-manager uv -e prepare -P dataset=fashion-mnist": "tests of a download",
    "unzip champion.zip -d champion && cd champion && sha256sum -c SHA256SUMS": "bundle tests",
    "pip install numpy onnxruntime && python predict.py": "tests of a bundle's script",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION=false MLFLOW_DEFAULT_PREDICTION_DEVICE=cpu "
    "mlflow models serve -m models:/dropout-mnist@champion --env-manager local --port 5001": (
        "tests of serving"
    ),
    "curl http://127.0.0.1:5001/invocations -H 'Content-Type: application/json' -d @images.json": (
        "tests of serving"
    ),
}
# The same commands on less: settings given again replace those before.
TRAINING = ("--epochs", "0", "--widths", "8", "--mask-passes", "0")
LESS = {
    "main": (*TRAINING, "--device", "cpu", "--drop-rates", "0.5"),
    "mnist": (*TRAINING, "--device", "cpu"),
    "reproduce": ("--study", "notebook"),
    "sweep": (*TRAINING, "--devices", "cpu", "--drop-rates", "0.2", "--seeds", "0-1"),
}


def shown(page: Path) -> list[str]:
    """The commands in a page's indented blocks, in order."""
    return PROGRAM.findall(page.read_text("utf-8"))


def arguments(command: str) -> list[str] | None:
    """What the command line gets; None for a command that runs no step."""
    words = shlex.split(command.rsplit("&&", maxsplit=1)[-1].split(" < ", maxsplit=1)[0])
    while "=" in words[0]:
        words.pop(0)
    if words[:1] == ["why-zero"]:
        return words[1:]
    if words[:3] == ["python", "-m", "pipeline"]:
        return words[3:]
    if words[:3] != ["mlflow", "run", "."]:
        return None
    step = words[words.index("-e") + 1] if "-e" in words else "main"
    pairs = [words[i + 1].split("=", 1) for i, word in enumerate(words) if word == "-P"]
    return [step, *(text for name, value in pairs for text in (f"--{name}", value))]


COMMANDS = [
    (page.name, command) for page in PAGES for command in shown(page) if command not in ELSEWHERE
]


def test_every_exception_is_still_shown_somewhere() -> None:
    assert set(ELSEWHERE) == {command for page in PAGES for command in shown(page)} & set(ELSEWHERE)


def _write_what_is_explained() -> None:
    """The network that the page shows, its weights, and samples."""
    [code] = re.findall(
        r"```python\n(import torch\n.*?)```", (ROOT / "docs/explain.md").read_text(), re.DOTALL
    )
    Path("model.py").write_text(code)
    torch.save(load_module("model.py:Net").state_dict(), "state.pt")
    np.save("samples.npy", np.random.default_rng(0).normal(size=(100, 20)))


@pytest.mark.slow
@pytest.mark.parametrize("page", sorted({page for page, _ in COMMANDS}))
def test_every_command_of_a_page_works_in_its_order(
    page: str,
    pipeline: Callable[..., int],
    small: Path,
    runs: Callable[..., list[Run]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    Image.fromarray(load("mnist").test_images[0].numpy()).save("digit.png")
    if page == "registry.md":
        assert pipeline("sweep", *LESS["sweep"]) == 0
    if page == "explain.md":
        _write_what_is_explained()
    if page == "explorer.md":
        assert pipeline("sweep", *LESS["sweep"]) == 0
    for experiment in ("mine", "yours") if page == "sweeps.md" else ():
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("MLFLOW_EXPERIMENT_NAME", experiment)
            options = (*LESS["mnist"], "--epochs", "10", "--data", str(small), "--holdout", "50")
            assert pipeline("mnist", *options) == 0
    for command in [command for where, command in COMMANDS if where == page]:
        words = arguments(command)
        assert words is not None, f"{command!r} is run by no test"
        if "fashion-mnist" in command and not FASHION.is_dir():
            continue  # needs Debian's dataset-fashion-mnist
        if words[0] == "predict" and "-" in words:
            words[words.index("-")] = "digit.png"
        if "RUN_ID" in words:
            ids = (run.info.run_id for run in runs(kind="network"))
            words = [next(ids) if word == "RUN_ID" else word for word in words]
        assert pipeline(*words, *LESS.get(words[0], ())) == 0, (command, capsys.readouterr().err)


@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_every_command_is_read_as_it_stands(page: str, command: str) -> None:
    del page
    words = arguments(command)
    assert words is not None
    group = commands.build()
    context = group.make_context("why-zero", list(words), resilient_parsing=False)
    name, found, rest = group.resolve_command(context, [*context._protected_args, *context.args])
    assert found is not None
    found.make_context(name, rest, parent=context)
