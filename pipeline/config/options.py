"""Every step's settings: the one place from which command line and MLproject are derived.

It must not import torch, MLflow or any step: `--help` reads this file.
"""

import keyword
import re
from dataclasses import dataclass, replace
from typing import Literal

from pipeline.config.model_address import (
    ADDRESS_RULE,
    ALIAS_RULE,
    NAME_RULE,
    alias_name,
    model_name,
)
from pipeline.config.recipe import (
    ACTIVATION,
    ACTIVATION_HELP,
    DECAY_HELP,
    INIT_HELP,
    MAX_NORM_HELP,
    OUTPUT_DROPOUT_HELP,
    SCALING,
    SCALING_HELP,
    ZERO_BIASES_HELP,
    Activation,
    Optimizer,
    Recipe,
    Scaling,
    Schedule,
    Training,
)
from pipeline.config.settings import (
    COUNT,
    COUNTS,
    DEVICE,
    DEVICES,
    FACTORS,
    FILE,
    INITS,
    LAYER_RATES_LIST,
    MODEL_AND_INPUTS,
    NAME_OR_PATH,
    NAMES_OR_PATHS,
    NOT_NEGATIVE,
    NOT_NEGATIVES,
    PASSES,
    PATH,
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
    ByLayer,
    Kind,
    arguments,
    choice,
    choices,
    setting,
)
from pipeline.errors import UsageError


def _ray_address(text: str) -> str:
    host, _, port = text.rpartition(":")
    is_head = re.fullmatch(r"[0-9A-Za-z.-]+|\[[0-9A-Fa-f:]+\]", host) and port.isdecimal()
    if not (text in {"local", "auto"} or (is_head and 0 < int(port) < 65536)):
        raise ValueError(text)
    return text


DATA = "a data set's name, a prepared file, or a folder of IDX files"
MODEL_NAME = Kind("NAME", NAME_RULE, model_name)
ALIAS = Kind("ALIAS", ALIAS_RULE, alias_name)
RAY_ADDRESS = Kind("ADDRESS", "local, auto or HOST:PORT", _ray_address)
DEVICE_HELP = "device to train on: auto, cpu, cuda, cuda:N or mps"
CUDA_GRAPHS = "on CUDA, capture one update and replay it; false: launch every update separately"
FORCE = "run again even if a finished run has the same settings, data and code"
Scale = Literal["quick", "full"]
STUDIES = (
    "notebook",
    "post",
    "srivastava-table2",
    "srivastava-monte-carlo",
    "srivastava-rate",
    "srivastava-sparsity",
    "lu-born-dead",
    "uva-dead",
    "redo",
    "dying",
)


@dataclass(frozen=True, kw_only=True)
class PrepareSettings:
    """Read a data set, verify it, and log what it looks like.

    Writes uint8 tensors to OUT/DATASET.safetensors. Known data sets: mnist (comes with this
    package), fashion-mnist, kmnist, qmnist, emnist-mnist, emnist-digits, emnist-letters,
    emnist-balanced, emnist-bymerge, emnist-byclass. Any other name needs --source with a folder of
    your own IDX files.

    Example: prepare --dataset fashion-mnist --source ~/idx-files
    """

    dataset: str = setting("mnist", TEXT, "the data set's name")
    source: str = setting(
        "auto",
        NAME_OR_PATH,
        "auto: the packaged copy or a download; otherwise a folder of IDX files",
    )
    out: str = setting("prepared", PATH, "folder for the prepared file")
    force: bool = setting(False, YES_OR_NO, FORCE)


@dataclass(frozen=True, kw_only=True)
class ToySettings:
    """Train three 4-3-3-2 networks from the same weights and explain every zero.

    ReLU, ReLU + Dropout, and Dropout see the same samples in the same order; the dropout arms
    share their masks. Plain SGD, batch size 1, cross-entropy. The run holds a trace of every
    value in every update.

    Example: toy --epochs 20 --drop-rate 0.3
    """

    init: Literal["notebook", "random"] = setting(
        "notebook",
        choice("notebook", "random"),
        "start from the notebook's printed parameters and samples, or draw both from the seed",
    )
    drop_rate: float = setting(0.5, RATE, "probability of dropping a unit in one training pass")
    learning_rate: float = setting(0.01, POSITIVE, "step size of SGD")
    epochs: int = setting(1, COUNT, "passes over the ten samples")
    seed: int = setting(
        0, COUNT, "seed for masks and order, and with init=random for parameters and samples"
    )
    force: bool = setting(False, YES_OR_NO, FORCE)


@dataclass(frozen=True, kw_only=True)
class MnistSettings(Recipe):
    """Train one classifier and explain its zeros by cause, epoch by epoch.

    The default is the post's network (see docs/definitions.md): 784-256-256-128-128-10, Adam,
    dropout after every layer. Data that has not been prepared yet is prepared first.

    Example: mnist --drop-rate 0.2 --epochs 5 --seed 1
    """

    device: str = setting("auto", DEVICE, DEVICE_HELP)
    cuda_graphs: bool = setting(True, YES_OR_NO, CUDA_GRAPHS)
    data: str = setting("mnist", NAME_OR_PATH, DATA)
    force: bool = setting(False, YES_OR_NO, FORCE)


@dataclass(frozen=True, kw_only=True)
class MainSettings(Training):
    """Run prepare and toy, then train one network per drop rate and compare them.

    Example: main --drop-rates 0,0.1,0.2,0.5 --epochs 5
    """

    drop_rates: tuple[float | ByLayer, ...] = setting(
        (0.0, 0.2, 0.5), LAYER_RATES_LIST, "one network per drop rate"
    )
    device: str = setting("auto", DEVICE, DEVICE_HELP)
    cuda_graphs: bool = setting(True, YES_OR_NO, CUDA_GRAPHS)
    data: str = setting("mnist", NAME_OR_PATH, DATA)
    force: bool = setting(False, YES_OR_NO, FORCE)


@dataclass(frozen=True, kw_only=True)
class SweepSettings(Schedule):
    """Train a network for every combination of settings, many at once, and compare them.

    Lists are separated by commas; numbers may also be a range START:STOP:STEP, seeds FIRST-LAST.
    To resume an interrupted sweep, run the same command again: it continues where it stopped and
    trains no finished network again.

    Example: sweep --drop-rates 0:0.8:0.1 --seeds 0-4
    """

    drop_rates: tuple[float | ByLayer, ...] = setting(
        (0.0, 0.1, 0.2, 0.3, 0.4, 0.5),
        LAYER_RATES_LIST,
        "probabilities of dropping a unit in one pass; by layer: 0.5-0.5-0.2-0.2-0",
    )
    seeds: tuple[int, ...] = setting(
        (0, 1, 2),
        COUNTS,
        "seeds for initial weights, batch order and masks; intervals need several",
    )
    activations: tuple[Activation, ...] = setting(
        ("relu",), choices(*ACTIVATION.words), ACTIVATION_HELP
    )
    output_dropout: tuple[bool, ...] = setting((True,), YES_AND_NO, OUTPUT_DROPOUT_HELP)
    widths: tuple[tuple[int, ...], ...] = setting(
        ((256, 256, 128, 128),), SHAPES, "units in each hidden layer; separate networks with /"
    )
    optimizers: tuple[Optimizer, ...] = setting(
        ("adam",), choices("adam", "sgd"), "optimizers; momentum applies to sgd only"
    )
    learning_rates: tuple[float, ...] = setting((0.001,), POSITIVES, "step sizes of the optimizers")
    input_drop_rates: tuple[float, ...] = setting(
        (0.0,), RATES, "probabilities of dropping an input in one pass"
    )
    recycle_every: tuple[int, ...] = setting(
        (0,), COUNTS, "epochs after which dead units get new weights (ReDo); 0: never"
    )
    recycle_below: tuple[float, ...] = setting(
        (0.0,),
        NOT_NEGATIVES,
        "what share of their layer's mean |h| units must exceed not to be recycled; 0: dead units "
        "alone; applies only where recycle_every is not 0",
    )
    inits: tuple[str, ...] = setting(("default",), INITS, INIT_HELP)
    zero_biases: tuple[bool, ...] = setting((False,), YES_AND_NO, ZERO_BIASES_HELP)
    scalings: tuple[Scaling, ...] = setting(("unit",), choices(*SCALING.words), SCALING_HELP)
    max_norms: tuple[float, ...] = setting((0.0,), NOT_NEGATIVES, MAX_NORM_HELP)
    learning_rate_decays: tuple[float, ...] = setting((1.0,), FACTORS, DECAY_HELP)
    devices: tuple[str, ...] = setting(
        ("auto",), DEVICES, "devices to train on, side by side: auto, cpu, cuda, cuda:N or mps"
    )
    cuda_graphs: bool = setting(True, YES_OR_NO, CUDA_GRAPHS)
    data: tuple[str, ...] = setting(
        ("mnist",), NAMES_OR_PATHS, "data sets' names, prepared files, or folders of IDX files"
    )
    stack_memory_gb: float = setting(
        0.0,
        NOT_NEGATIVE,
        "memory limit for the networks trained at once on one device; 0: half of the machine's, "
        "or 80 % of a GPU's",
    )
    keep: Literal["all", "chosen"] = setting(
        "all",
        choice("all", "chosen"),
        "whose pictures and model are kept: of all networks, or of those that the report names; "
        "metrics, history and weights are always kept, and publish makes the rest from them",
    )
    engine: Literal["local", "ray"] = setting(
        "local",
        choice("local", "ray"),
        "what trains: processes of this machine, or workers in a Ray cluster (needs why-zero[ray])",
    )
    ray_address: str = setting(
        "local",
        RAY_ADDRESS,
        "with engine=ray. local: start a cluster on this machine; auto: the one that this machine "
        "belongs to; or HOST:PORT of a head",
    )
    force: bool = setting(False, YES_OR_NO, FORCE)

    def __post_init__(self) -> None:
        """Check what depends on the engine.

        Raises:
            UsageError: an address without engine=ray, or a device that Ray does not give out.
        """
        if self.engine != "ray":
            if self.ray_address != "local":
                raise UsageError(
                    f"ray_address must stay at local without Ray, got {self.ray_address}: give "
                    "engine=ray as well"
                )
            return
        for device in self.devices:
            if device not in {"auto", "cpu", "cuda"}:
                raise UsageError(
                    f"devices must be auto, cpu or cuda with engine=ray, got {device}: Ray gives "
                    "each stack a device of its kind"
                )


@dataclass(frozen=True, kw_only=True)
class CompareSettings:
    """Compare trained networks: means with intervals, differences, a verdict in words.

    Takes the networks of a sweep, or all finished networks that match a search. They are grouped
    by the settings that differ between them; seeds are the replicates. The report is the run's
    description, an HTML page and two CSV files.

    Example: compare --search "params.epochs = '10'" --experiments mine,yours
    """

    sweep: str = setting("latest", TEXT, "the run id of a sweep or of main; latest: the newest one")
    search: str = setting(
        "none",
        TEXT,
        "an MLflow search filter, used instead of a sweep; parameters are strings, as in "
        "params.drop_rate = '0.5'",
    )
    experiments: tuple[str, ...] = setting(
        ("auto",), TEXTS, "names of the experiments to search; auto: the one of this run"
    )

    def __post_init__(self) -> None:
        """Check that only one source of networks is named.

        Raises:
            UsageError: both a sweep and a search are given.
        """
        if self.search != "none" and self.sweep != "latest":
            raise UsageError(
                f"sweep must stay at latest with a search, got {self.sweep!r}: give only one"
            )


@dataclass(frozen=True, kw_only=True)
class ReproduceSettings:
    """Do published studies again, and show what they stated beside what is found here.

    Each study is a run with a table (published, ours with its interval, agrees or not, and why
    not), figures drawn as the source draws them, and the source cited to table or figure. Its
    networks are trained as a sweep's are, and used again where they exist.

    Example: reproduce --study uva-dead --scale full
    """

    study: str = setting("all", choice("all", *STUDIES), "which study; all: one after another")
    scale: Scale = setting(
        "quick",
        choice("quick", "full"),
        "quick: minutes on two cores, with fewer and smaller networks; full: as the source has "
        "it, meant for a GPU",
    )
    device: str = setting("auto", DEVICE, DEVICE_HELP)
    force: bool = setting(False, YES_OR_NO, FORCE)


def _network_source(text: str) -> str:
    if not re.fullmatch(r"(sweep|run):[0-9a-zA-Z]{1,64}", text) or text == "run:latest":
        raise ValueError(text)
    return text


def _run_id(text: str) -> str:
    if not re.fullmatch(r"[0-9a-zA-Z]{1,64}", text):
        raise ValueError(text)
    return text


NETWORK_SOURCE = Kind(
    "sweep:ID|run:ID", "sweep:latest, sweep:RUN_ID or run:RUN_ID", _network_source
)
NETWORK_SOURCE_HELP = (
    "sweep:latest or sweep:RUN_ID takes a sweep's best network, run:RUN_ID that network"
)
NETWORK = Kind(
    "NETWORK",
    "the id of a run, sweep:latest or sweep:RUN_ID",
    lambda text: _network_source(text if ":" in text else f"run:{text}"),
)
NETWORKS = Kind(
    "NETWORK",
    "ids of runs, sweep:latest or sweep:RUN_ID, separated by commas",
    lambda text: tuple(NETWORK.parse(part.strip()) for part in text.split(",")),
    is_list=True,
)
MOST_EXPLORED = 2
VALIDATION_METRIC = replace(
    choice("val/accuracy", "val/loss"),
    rule="val/accuracy or val/loss, since networks are chosen on held-out images, not the test set",
)


RUN = Kind("RUN", "the id of a run", _run_id)


@dataclass(frozen=True, kw_only=True)
class OpenSettings:
    """Open MLflow's UI in the browser, at the comparison of the newest sweep.

    RUN, the id of a run, opens the page of that run instead. Where the store has no server, one is
    started on this machine, until Ctrl-C. Without a screen, as over ssh, the address is printed.

    Example: open
    """

    run: tuple[str, ...] = arguments(RUN, count=0)
    port: int = setting(0, COUNT, "port of the UI; 0: 5000, or another if that is taken")
    browser: bool = setting(True, YES_OR_NO, "open the browser; --no-browser only prints")


@dataclass(frozen=True, kw_only=True)
class PublishSettings:
    """Make the pictures and models that networks' runs lack, from their history and weights.

    NETWORK is the id of a network's run; sweep:latest or sweep:RUN_ID means all networks of a
    sweep, such as one with keep=chosen. Nothing is trained, and what is there stays: to go on
    after an interruption, run the same command again. Needs the data set that they were trained
    on.

    Example: publish sweep:latest
    """

    runs: tuple[str, ...] = arguments(NETWORKS)
    data: str = setting(
        "auto", NAME_OR_PATH, f"what they were trained on; auto: the runs' data sets; or {DATA}"
    )


@dataclass(frozen=True, kw_only=True)
class RegisterSettings:
    """Register a trained network in the model registry if it passes every gate.

    Takes the best network of a sweep by a validation metric, or the network of one run, and moves
    the alias to it. Six gates: it loads in a fresh process without this package; no dropout is
    left in it; its graph and its state dict give the same logits; its recomputed test accuracy
    equals the run's; its signature holds; it is not worse than the model the alias points to now.
    If a gate fails, the registry is left unchanged. Pictures and model that the network's run lacks
    are made first. Needs the data set that the network was trained on.

    Example: register --from sweep:latest --name dropout-mnist --alias champion
    """

    from_: str = setting("sweep:latest", NETWORK_SOURCE, NETWORK_SOURCE_HELP)
    metric: Literal["val/accuracy", "val/loss"] = setting(
        "val/accuracy",
        VALIDATION_METRIC,
        "metric to choose by and to compare with the current model, at the kept epoch",
    )
    name: str = setting("dropout-mnist", MODEL_NAME, "registered model, created if it is new")
    alias: str = setting("champion", ALIAS, "alias to move to the new version")
    margin: float = setting(
        0.002,
        NOT_NEGATIVE,
        "how much worse than the current model it may be, in units of the metric",
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
        "move the alias even if the network is worse or cannot be compared; a tag records it",
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

    from_: str = setting("sweep:latest", NETWORK_SOURCE, NETWORK_SOURCE_HELP)
    metric: Literal["val/accuracy", "val/loss"] = setting(
        "val/accuracy", VALIDATION_METRIC, "what chooses from a sweep"
    )
    force: bool = setting(False, YES_OR_NO, FORCE)


@dataclass(frozen=True, kw_only=True)
class ExploreSettings:
    """Write a page in which a trained network runs: draw a digit, and see why each unit is zero.

    NETWORK is the id of a network's run; a second one is shown beside the first, on the same
    drawing. sweep:latest or sweep:RUN_ID gives a sweep's own page: its chosen network, and the one
    of the same seed without dropout. They may have been trained by any version. The page is one
    HTML file that needs nothing else.

    Example: explore sweep:latest --out explorer.html
    """

    networks: tuple[str, ...] = arguments(NETWORK)
    out: str = setting("explorer.html", TEXT, "the page to write")
    data: str = setting(
        "auto", TEXT, f"what they were trained on; auto: the run's data set; or {DATA}"
    )

    def __post_init__(self) -> None:
        """Check how many networks are named.

        Raises:
            UsageError: more than two.
        """
        if len(self.networks) > MOST_EXPLORED:
            raise UsageError(
                f"explore takes one network, or two to compare, got {len(self.networks)}: "
                "name the two that you want to see side by side"
            )


@dataclass(frozen=True, kw_only=True)
class ExportSettings:
    """Export a registered model, with everything recorded about it, as a folder or .zip.

    The bundle is self-contained: pt2, safetensors and ONNX, model card, parameters, metrics with
    their full history, plots, lineage, digests, and a script that classifies images without this
    package.

    Example: export --model models:/dropout-mnist@champion --out champion.zip
    """

    model: str = setting("models:/dropout-mnist@champion", TEXT, ADDRESS_RULE)
    out: str = setting("bundle", PATH, "folder to write, or a file name that ends in .zip")
    data: str = setting(
        "auto",
        NAME_OR_PATH,
        f"data to compare ONNX with PyTorch on; auto: the run's data set; or {DATA}",
    )
    force: bool = setting(False, YES_OR_NO, "replace an existing bundle, but nothing else")


@dataclass(frozen=True, kw_only=True)
class ImportSettings:
    """Import an exported bundle into a store: experiment, run, metrics, model, version, aliases.

    Every digest is verified before anything is written, and nothing in the bundle is executed.
    Importing again changes nothing, but completes an interrupted import.

    Example: import --bundle champion.zip --to http://127.0.0.1:5000
    """

    bundle: str = setting("bundle", PATH, "folder or .zip written by export")
    to: str = setting("auto", TEXT, "tracking URI of the store; auto: the one in use")
    force: bool = setting(
        False, YES_OR_NO, "move an alias that points to another version in that store"
    )


@dataclass(frozen=True, kw_only=True)
class PredictSettings:
    """Classify images with a registered model; nothing is logged.

    FILE is a PNG or JPEG of any size, or an IDX file, gzipped or not, all of whose images are
    classified; - reads one such file from standard input. An image that does not have the
    model's size is laid out as the model's data set was: for MNIST, the digit is scaled to fit
    20 x 20 pixels and its centre of mass placed in the middle of 28 x 28.

    Example: predict --why true --passes 50 digit.png t10k-images-idx3-ubyte.gz
    """

    images: tuple[str, ...] = arguments(FILE)
    model: str = setting("models:/dropout-mnist@champion", TEXT, ADDRESS_RULE)
    why: bool = setting(
        False,
        YES_OR_NO,
        "also count the units of each layer that are active, inactive or dead for each image",
    )
    passes: int = setting(
        0,
        PASSES,
        "also classify under this many dropout masks, for uncertainty (Monte Carlo dropout)",
    )
    seed: int = setting(0, COUNT, "seed for these masks")
    layout: Literal["auto", "mnist", "emnist", "fashion-mnist", "whole"] = setting(
        "auto",
        choice("auto", "mnist", "emnist", "fashion-mnist", "whole"),
        "how to lay out images; auto: like the model's data set, or unchanged if the size fits",
    )
    ink: Literal["auto", "light", "dark"] = setting(
        "auto",
        choice("auto", "light", "dark"),
        "whether the drawing is lighter or darker than its background; auto: from the image's edge",
    )
    format: Literal["table", "json", "csv"] = setting(
        "table",
        choice("table", "json", "csv"),
        "a table, JSON with one line per image, or CSV",
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
    out: str = setting("explanation.html", PATH, "the page to write")
    weights: str = setting(
        "none", PATH, "a state dict, .safetensors or .pt without other objects; none: as made"
    )
    batch: int = setting(64, POSITIVE_COUNT, "most samples in one pass")
    passes: int = setting(
        1, POSITIVE_COUNT, "through the samples in training mode, each with other dropout masks"
    )
    seed: int = setting(0, COUNT, "of the initial weights, where none are given, and the masks")
    limit: int = setting(0, COUNT, "take the first so many samples; 0: all")


@dataclass(frozen=True, kw_only=True)
class SyncSettings:
    """Send what steps have logged while their tracking server was away.

    A step that ends with exit code 75 has done its work, but its server has not got all of it: the
    rest is in a journal in the folder where the step was run. Here it is sent, without anything
    twice, and the journal removed. A journal whose step still runs is left to it. A step that
    trains sends what it finds, too, before it begins.

    Example: sync
    """

    journals: str = setting("journals", PATH, "the folder of journals")


@dataclass(frozen=True, kw_only=True)
class DoctorSettings:
    """Say what works here and what does not, and what to do about it.

    Checks Python and packages, the device, the tracking store and the right to write to it, the
    folders and their free space, and what only some steps need. Trains nothing and makes no run;
    an experiment that MLFLOW_EXPERIMENT_NAME names is made if it is new. The exit code is 1 if
    training would fail.

    Example: doctor --device cuda
    """

    device: str = setting("auto", DEVICE, "device to try: auto, cpu, cuda, cuda:N or mps")


STEPS: dict[str, type] = {
    "main": MainSettings,
    "prepare": PrepareSettings,
    "toy": ToySettings,
    "mnist": MnistSettings,
    "sweep": SweepSettings,
    "compare": CompareSettings,
    "reproduce": ReproduceSettings,
    "open": OpenSettings,
    "publish": PublishSettings,
    "compact": CompactSettings,
    "explore": ExploreSettings,
    "register": RegisterSettings,
    "export": ExportSettings,
    "import": ImportSettings,
    "sync": SyncSettings,
    "predict": PredictSettings,
    "explain": ExplainSettings,
    "doctor": DoctorSettings,
}


def module_of(step: str) -> str:
    """The name of the step's module: `import_` for `import`, which is reserved in Python."""
    return f"{step}_" if keyword.iskeyword(step) else step
