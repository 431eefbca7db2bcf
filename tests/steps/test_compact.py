"""The step `compact`: the smaller network is a network like any other."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from mlflow import MlflowClient
from mlflow.entities import Run
from PIL import Image
from safetensors.torch import load_file

from pipeline.tracking import connect

Pipeline = Callable[..., int]
Runs = Callable[..., list[Run]]
# Behind a hidden layer nothing is negative, so some units are born dead.
SETTINGS = (
    *("--epochs", "1", "--holdout", "50", "--widths", "8,32,24", "--mask-passes", "0"),
    *("--drop-rate", "0.2", "--output-dropout", "false", "--batch-size", "10"),
)


@pytest.fixture
def trained(pipeline: Pipeline, runs: Runs, small: Path) -> Run:
    """A network with dead units, whose data set is at hand by its name."""
    assert pipeline("prepare", "--dataset", "mine", "--source", small) == 0
    assert pipeline("mnist", "--data", "mine", *SETTINGS) == 0
    [network] = runs(kind="network")
    return network


def test_try(trained: Run, pipeline: Pipeline, runs: Runs, capsys) -> None:
    print({k:v for k,v in trained.data.metrics.items() if "dead" in k})
    code=pipeline("compact", "--from", f"run:{trained.info.run_id}")
    print(code)
    for run in runs(): print(run.info.run_name, run.info.status, run.data.tags, run.data.params, run.data.metrics)
    o=capsys.readouterr(); print(o.out, o.err)
    assert 0
