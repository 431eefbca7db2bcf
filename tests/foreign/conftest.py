"""A folder with somebody's network in it, to work in."""

from pathlib import Path

import pytest

MODEL = """
import torch
from torch import nn
from sizes import WIDTH

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(4, WIDTH), nn.Linear(WIDTH, 2)

    def forward(self, x):
        return self.last(torch.relu(self.first(x)))

class Sized(nn.Module):
    def __init__(self, width):
        super().__init__()

def made():
    return nn.Linear(4, 2)

ready = nn.Linear(4, 3)

def text():
    return "x"

def leaving():
    raise SystemExit(3)

if __name__ == "__main__":
    raise AssertionError("run as a program")
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))  # put back, whatever the file's run adds
    (tmp_path / "my_model.py").write_text(MODEL)
    (tmp_path / "sizes.py").write_text("WIDTH = 8\n")
    return tmp_path
