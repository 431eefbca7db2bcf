"""Every step's settings: the one place from which command line and MLproject are derived.

It must not know what a step does with them, nor torch or MLflow: `--help` reads this file.
"""

from dataclasses import dataclass
from typing import Literal

from pipeline.recipe import Recipe, Training
from pipeline.settings import (
    COUNT,
    DEVICE,
    POSITIVE,
    RATE,
    RATES,
    TEXT,
    YES_OR_NO,
    choice,
    setting,
)

DATA = "a data set's name, a prepared file, or a folder of IDX files"
FORCE = "run again what has a finished run with the same settings, data and code"


@dataclass(frozen=True, kw_only=True)
class PrepareSettings:
    """Read a data set, verify it, and log what it looks like.

    Writes uint8 tensors to OUT/DATASET.safetensors. Known data sets: mnist (comes with this
    package), fashion-mnist, kmnist, qmnist, emnist-mnist, emnist-digits, emnist-letters,
    emnist-balanced. Any other name goes with a folder of your own IDX files.

    Example: prepare --dataset fashion-mnist --source ~/idx-files
    """

    dataset: str = setting("mnist", TEXT, "the data set's name")
    source: str = setting(
        "auto", TEXT, "auto: the package's copy or a download; else a folder of IDX files"
    )
    out: str = setting("prepared", TEXT, "folder for the prepared file")
    force: bool = setting(False, YES_OR_NO, FORCE)


@dataclass(frozen=True, kw_only=True)
class ToySettings:
    """Train three 4-3-3-2 networks from one start and say what every zero was.

    ReLU, ReLU + Dropout, and Dropout see the same samples in the same order; the dropout arms
    share their masks. Plain SGD, batch size 1, cross-entropy. The run holds a trace of
    everything that every update saw.

    Example: toy --epochs 20 --drop-rate 0.3
    """

    init: Literal["notebook", "random"] = setting(
        "notebook",
        choice("notebook", "random"),
        "start from the notebook's printed parameters and samples, or draw both from the seed",
    )
    drop_rate: float = setting(0.5, RATE, "probability of dropping a unit for one training pass")
    learning_rate: float = setting(0.01, POSITIVE, "step size of SGD")
    epochs: int = setting(1, COUNT, "passes over the ten samples")
    seed: int = setting(0, COUNT, "of masks and order; with init=random of parameters and samples")
    force: bool = setting(False, YES_OR_NO, FORCE)


@dataclass(frozen=True, kw_only=True)
class MnistSettings(Recipe):
    """Train one classifier and take its zeros apart, epoch by epoch.

    By default the post's network: 784-256-256-128-128-10, Adam, dropout after every layer.
    Data that are not prepared yet are prepared first.

    Example: mnist --drop-rate 0.2 --epochs 5 --seed 1
    """

    device: str = setting("auto", DEVICE, "where to train: auto, cpu, cuda, cuda:N or mps")
    data: str = setting("mnist", TEXT, DATA)
    force: bool = setting(False, YES_OR_NO, FORCE)


@dataclass(frozen=True, kw_only=True)
class MainSettings(Training):
    """Prepare, toy, then one network for every drop rate, trained together and compared.

    Example: main --drop-rates 0,0.1,0.2,0.5 --epochs 5
    """

    drop_rates: tuple[float, ...] = setting((0.0, 0.2, 0.5), RATES, "one network for each")
    device: str = setting("auto", DEVICE, "where to train: auto, cpu, cuda, cuda:N or mps")
    data: str = setting("mnist", TEXT, DATA)
    force: bool = setting(False, YES_OR_NO, FORCE)


STEPS: dict[str, type] = {
    "main": MainSettings,
    "prepare": PrepareSettings,
    "toy": ToySettings,
    "mnist": MnistSettings,
}
