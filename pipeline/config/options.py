"""Every step's settings: the one place from which command line and MLproject are derived.

It must not know what a step does with them, nor torch or MLflow: `--help` reads this file.
"""

import keyword
import re
from dataclasses import dataclass, replace
from typing import Literal

from pipeline.config.model_address import ALIAS_RULE, NAME_RULE, alias_name, model_name
from pipeline.config.recipe import Activation, Optimizer, Recipe, Schedule, Training
from pipeline.config.settings import (
    COUNT,
    COUNTS,
    DEVICE,
    DEVICES,
    FILE,
    MODEL_AND_INPUTS,
    NOT_NEGATIVE,
    POSITIVE,
    POSITIVE_COUNT,
    POSITIVES,
    RATE,
    RATES,
    SHAPES,
    TEXT,
    TEXTS,
    YES_AND_NO,
    YES_OR_NO,
    Kind,
    arguments,
    choice,
    choices,
    setting,
)
from pipeline.errors import UsageError

DATA = "a data set's name, a prepared file, or a folder of IDX files"
MODEL_NAME = Kind("NAME", NAME_RULE, model_name)
ALIAS = Kind("ALIAS", ALIAS_RULE, alias_name)
CUDA_GRAPHS = "capture an update once and replay it, on CUDA; false: take each as it comes"
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
    cuda_graphs: bool = setting(True, YES_OR_NO, CUDA_GRAPHS)
    data: str = setting("mnist", TEXT, DATA)
    force: bool = setting(False, YES_OR_NO, FORCE)


@dataclass(frozen=True, kw_only=True)
class MainSettings(Training):
    """Prepare, toy, then one network for every drop rate, trained together and compared.

    Example: main --drop-rates 0,0.1,0.2,0.5 --epochs 5
    """

    drop_rates: tuple[float, ...] = setting((0.0, 0.2, 0.5), RATES, "one network for each")
    device: str = setting("auto", DEVICE, "where to train: auto, cpu, cuda, cuda:N or mps")
    cuda_graphs: bool = setting(True, YES_OR_NO, CUDA_GRAPHS)
    data: str = setting("mnist", TEXT, DATA)
    force: bool = setting(False, YES_OR_NO, FORCE)


@dataclass(frozen=True, kw_only=True)
class SweepSettings(Schedule):
    """Train one network for every combination of the axes, many at once, and compare them.

    Axes are lists with commas; numbers also as a range START:STOP:STEP, seeds also as FIRST-LAST.
    What a killed sweep has finished is not trained again: start it with the same line, and it
    goes on where it was.

    Example: sweep --drop-rates 0:0.8:0.1 --seeds 0-4
    """

    drop_rates: tuple[float, ...] = setting(
        (0.0, 0.1, 0.2, 0.3, 0.4, 0.5), RATES, "probabilities of dropping a unit for one pass"
    )
    seeds: tuple[int, ...] = setting(
        (0, 1, 2), COUNTS, "of initial weights, batch order and masks; intervals need several"
    )
    activations: tuple[Activation, ...] = setting(
        ("relu",), choices("relu", "none"), "what follows each hidden layer; none: linear"
    )
    output_dropout: tuple[bool, ...] = setting(
        (True,), YES_AND_NO, "drop the logits too, as the post does; false: hidden layers alone"
    )
    widths: tuple[tuple[int, ...], ...] = setting(
        ((256, 256, 128, 128),), SHAPES, "units of each hidden layer, networks separated by /"
    )
    optimizers: tuple[Optimizer, ...] = setting(
        ("adam",), choices("adam", "sgd"), "how weights move; momentum goes to sgd alone"
    )
    learning_rates: tuple[float, ...] = setting((0.001,), POSITIVES, "step sizes of the optimizer")
    devices: tuple[str, ...] = setting(
        ("auto",), DEVICES, "where to train, side by side: auto, cpu, cuda, cuda:N or mps"
    )
    cuda_graphs: bool = setting(True, YES_OR_NO, CUDA_GRAPHS)
    data: tuple[str, ...] = setting(
        ("mnist",), TEXTS, "data sets' names, prepared files, or folders of IDX files"
    )
    stack_memory_gb: float = setting(
        0.0,
        NOT_NEGATIVE,
        "memory that the networks trained at once on one device may take; 0: half of what is free",
    )
    force: bool = setting(False, YES_OR_NO, FORCE)


@dataclass(frozen=True, kw_only=True)
class CompareSettings:
    """Compare trained networks: means with intervals, paired differences, a verdict in words.

    Takes the networks of a sweep, or all finished networks that a search filter finds; they are
    grouped by whatever differs among them, and their seeds are the replicates. The report is the
    run's description, an HTML page and two CSV files.

    Example: compare --search "params.epochs = '10'" --experiments mine,yours
    """

    sweep: str = setting("latest", TEXT, "latest, or the id of a sweep's run")
    search: str = setting(
        "none",
        TEXT,
        "instead of a sweep: a filter over runs as MLflow's search takes it; parameters are "
        "texts, such as params.drop_rate = '0.5'",
    )
    experiments: tuple[str, ...] = setting(
        ("auto",), TEXTS, "the names of the experiments to search; auto: the one of this run"
    )

    def __post_init__(self) -> None:
        """Check that one source of networks is named.

        Raises:
            UsageError: both a sweep and a search are given.
        """
        if self.search != "none" and self.sweep != "latest":
            raise UsageError(
                f"sweep must stay at latest with a search, got {self.sweep!r}: leave one out"
            )


def _network_source(text: str) -> str:
    if not re.fullmatch(r"(sweep|run):[0-9a-zA-Z]{1,64}", text) or text == "run:latest":
        raise ValueError(text)
    return text


NETWORK_SOURCE = Kind(
    "sweep:ID|run:ID", "sweep:latest, sweep:RUN_ID or run:RUN_ID", _network_source
)
VALIDATION_METRIC = replace(
    choice("val/accuracy", "val/loss"),
    rule="val/accuracy or val/loss, since only held-out images may choose, never the test set",
)


@dataclass(frozen=True, kw_only=True)
class RegisterSettings:
    """Put a trained network into the model registry, if it passes every gate.

    Takes the best network of a sweep by a validation metric, or one run, and moves the alias to
    it. Six gates: it loads in a fresh process without this package; no dropout is left in it; its
    graph and its state dict give the same logits; its test accuracy, computed again, is the
    run's; its signature holds; it is not worse than the alias's present holder. A gate that fails
    leaves the registry as it was. Needs the data set that the network was trained on.

    Example: register --from sweep:latest --name dropout-mnist --alias champion
    """

    from_: str = setting(
        "sweep:latest",
        NETWORK_SOURCE,
        "sweep:latest or sweep:RUN_ID takes a sweep's best network, run:RUN_ID that network",
    )
    metric: Literal["val/accuracy", "val/loss"] = setting(
        "val/accuracy",
        VALIDATION_METRIC,
        "what chooses, and what is compared with the present holder; at the epoch that was kept",
    )
    name: str = setting("dropout-mnist", MODEL_NAME, "of the registered model, made if it is new")
    alias: str = setting("champion", ALIAS, "that moves to the new version")
    margin: float = setting(
        0.002,
        NOT_NEGATIVE,
        "how much worse than the present holder it may be, in units of the metric",
    )
    isolation: Literal["process", "env"] = setting(
        "process",
        choice("process", "env"),
        "where the model must load: a fresh process without this package, or an environment "
        "built from the model's own requirements (gigabytes)",
    )
    force: bool = setting(
        False,
        YES_OR_NO,
        "move the alias even to a network that is worse or cannot be compared; a tag says so",
    )


@dataclass(frozen=True, kw_only=True)
class CompactSettings:
    """Remove a trained network's dead units, and log the smaller network beside it.

    Units that are dead for every image trained on add nothing: without them the network gives the
    same logits, which is checked on these images. The smaller network is a run of its own, with
    both test scores, parameters, multiplications, and how far it is from the original on held-out
    images, where such a unit may fire. `register` takes it like any other.

    Example: compact --from sweep:latest
    """

    from_: str = setting(
        "sweep:latest",
        NETWORK_SOURCE,
        "sweep:latest or sweep:RUN_ID takes a sweep's best network, run:RUN_ID that network",
    )
    metric: Literal["val/accuracy", "val/loss"] = setting(
        "val/accuracy", VALIDATION_METRIC, "what chooses from a sweep"
    )
    force: bool = setting(False, YES_OR_NO, FORCE)


@dataclass(frozen=True, kw_only=True)
class ExportSettings:
    """Write a registered model, with all that is known of it, as one folder or .zip.

    It stands alone: pt2, safetensors and ONNX, model card, parameters, metrics with their whole
    history, plots, lineage, digests, and a script that classifies images without this package.

    Example: export --model models:/dropout-mnist@champion --out champion.zip
    """

    model: str = setting(
        "models:/dropout-mnist@champion", TEXT, "models:/NAME@ALIAS or models:/NAME/VERSION"
    )
    out: str = setting("bundle", TEXT, "the folder to write, or a file whose name ends in .zip")
    data: str = setting(
        "auto", TEXT, f"what ONNX is compared on; auto: the run's data set; or {DATA}"
    )
    force: bool = setting(False, YES_OR_NO, "replace the bundle that is there, and nothing else")


@dataclass(frozen=True, kw_only=True)
class ImportSettings:
    """Bring an exported bundle into a store: experiment, run, metrics, model, version, aliases.

    Every digest is verified before anything is written, and nothing in the bundle is run.
    Importing again changes nothing, and completes what was interrupted.

    Example: import --bundle champion.zip --to http://127.0.0.1:5000
    """

    bundle: str = setting("bundle", TEXT, "the folder or .zip that export wrote")
    to: str = setting("auto", TEXT, "the tracking URI of the store; auto: the one in use")
    force: bool = setting(False, YES_OR_NO, "move an alias that points to another version there")


@dataclass(frozen=True, kw_only=True)
class PredictSettings:
    """Say what images show, with a registered model; nothing is logged.

    FILE is a PNG or JPEG of any size, or an IDX file, gzipped or not, of which every image is
    taken; - is one such file on the standard input. An image that is not of the model's size is
    laid out as its data set was: of MNIST, the digit fitted into 20 x 20 pixels, and its centre of
    mass put in the middle of 28 x 28.

    Example: predict --why true --passes 50 digit.png t10k-images-idx3-ubyte.gz
    """

    images: tuple[str, ...] = arguments(FILE)
    model: str = setting(
        "models:/dropout-mnist@champion", TEXT, "models:/NAME@ALIAS or models:/NAME/VERSION"
    )
    why: bool = setting(
        False, YES_OR_NO, "count the units of each layer: active, inactive or dead for the image"
    )
    passes: int = setting(
        0, COUNT, "with as many dropout masks as well, to say how sure it is (Monte Carlo dropout)"
    )
    seed: int = setting(0, COUNT, "of these masks")
    layout: Literal["auto", "mnist", "emnist", "fashion-mnist", "whole"] = setting(
        "auto",
        choice("auto", "mnist", "emnist", "fashion-mnist", "whole"),
        "how to lay images out; auto: as the model's data set, and as they are if of its size",
    )
    ink: Literal["auto", "light", "dark"] = setting(
        "auto",
        choice("auto", "light", "dark"),
        "what is drawn is lighter or darker than the ground; auto: judged by the image's edge",
    )
    format: Literal["table", "json", "csv"] = setting(
        "table",
        choice("table", "json", "csv"),
        "a table for people, JSON with a line an image, or CSV",
    )


@dataclass(frozen=True, kw_only=True)
class ExplainSettings:
    """Say why activations of your own network are zero, and what to try, as one HTML page.

    MODEL is FILE.py:CLASS, or FILE.py:FUNCTION, which gives the network; both are called without
    arguments. This file is run, with all that it may do: name only code that you trust. Of weights
    and INPUTS nothing is run. INPUTS is a .safetensors file (its first tensor, or FILE:NAME), a
    .npy file, a .pt file with one tensor, or a folder of PNG and JPEG images of one size, which
    become numbers in [0, 1]. Nothing is logged.

    Example: explain model.py:Net images.npy --weights state.safetensors --out report.html
    """

    model_and_inputs: tuple[str, ...] = arguments(MODEL_AND_INPUTS, count=2)
    out: str = setting("explanation.html", TEXT, "the page to write")
    weights: str = setting(
        "none", TEXT, "a state dict, .safetensors or .pt without other objects; none: as made"
    )
    batch: int = setting(64, POSITIVE_COUNT, "most samples in one pass")
    passes: int = setting(
        1, POSITIVE_COUNT, "through the samples in training mode, each with other dropout masks"
    )
    seed: int = setting(0, COUNT, "of the initial weights, where none are given, and the masks")
    limit: int = setting(0, COUNT, "take the first so many samples; 0: all")


STEPS: dict[str, type] = {
    "main": MainSettings,
    "prepare": PrepareSettings,
    "toy": ToySettings,
    "mnist": MnistSettings,
    "sweep": SweepSettings,
    "compare": CompareSettings,
    "compact": CompactSettings,
    "register": RegisterSettings,
    "export": ExportSettings,
    "import": ImportSettings,
    "predict": PredictSettings,
    "explain": ExplainSettings,
}


def module_of(step: str) -> str:
    """The name of the step's module: `import_` for `import`, which Python keeps for itself."""
    return f"{step}_" if keyword.iskeyword(step) else step
