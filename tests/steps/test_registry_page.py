"""The commands of docs/registry.md, as they stand there."""

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient
from PIL import Image

from pipeline.data import load

PAGE = Path(__file__).parent.parent.parent / "docs" / "registry.md"
PREFIX = "    python -m pipeline "


def commands() -> list[list[str]]:
    """Those that need no shell, in the order of the page."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    return [
        shlex.split(line.removeprefix(PREFIX))
        for line in lines
        if line.startswith(PREFIX) and "<" not in line
    ]


def test_every_command_of_the_registry_page_works_in_its_order(
    pipeline: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert [command[0] for command in commands()] == [
        *("register", "export", "import"),
        *("predict", "predict"),
    ]
    quick = ("--epochs", 0, "--widths", 8, "--mask-passes", 0, "--devices", "cpu")
    assert pipeline("sweep", "--drop-rates", "0.2", "--seeds", 0, *quick) == 0
    digits = load("mnist").test_images
    Image.fromarray(digits[0].numpy()).save("digit.png")
    for command in commands():
        assert pipeline(*command) == 0, (command, capsys.readouterr().err)
    arrived = MlflowClient("sqlite:///elsewhere.db")
    assert arrived.get_model_version_by_alias("dropout-mnist", "champion").version in {1, "1"}
