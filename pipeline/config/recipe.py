"""What defines a network: everything its numbers depend on except data and device.

It must not import torch or numpy: the command line is derived from it.
"""

from dataclasses import dataclass, fields
from typing import Literal

from pipeline.config.settings import (
    COUNT,
    FACTOR,
    INIT,
    LAYER_RATES,
    NOT_NEGATIVE,
    POSITIVE,
    POSITIVE_COUNT,
    RATE,
    WIDTHS,
    YES_OR_NO,
    ByLayer,
    canonical,
    choice,
    setting,
)
from pipeline.errors import UsageError

Activation = Literal["relu", "none", "sigmoid", "leaky_relu"]
Scaling = Literal["unit", "symmetric", "standard"]
Optimizer = Literal["adam", "sgd"]
Select = Literal["last", "best"]
Precision = Literal["float32", "bfloat16"]

ACTIVATION = choice("relu", "none", "sigmoid", "leaky_relu")
SCALING = choice("unit", "symmetric", "standard")
ACTIVATION_HELP = (
    "activation after each hidden layer; none: a linear network; sigmoid: logistic; leaky_relu: "
    "0.01 z below 0"
)
INIT_HELP = (
    "initial weights; default: of nn.Linear, uniform in ±1/sqrt(inputs); he: N(0, 2/inputs); "
    "normal:SIGMA: N(0, SIGMA²)"
)
ZERO_BIASES_HELP = "start all biases at 0; false: uniform in ±1/sqrt(inputs)"
SCALING_HELP = (
    "inputs of the first layer; unit: pixels in [0, 1]; symmetric: in [-1, 1]; standard: mean 0 "
    "and standard deviation 1 over all pixels trained on"
)
MAX_NORM_HELP = (
    "after each update scale each unit's incoming weights down to at most this L2 norm; 0: never"
)
OUTPUT_DROPOUT_HELP = "drop the logits too, as the post does; false: hidden layers only"
DECAY_HELP = "factor on the learning rate from one epoch to the next; 1: constant"
# An activation in names and arms, where it is called otherwise.
_ACTIVATIONS = {"none": "linear", "leaky_relu": "leaky"}


# How a setting that is not at its default is named, those that change a network most first.
_IN_NAMES = {
    "activation": "{}",
    "widths": "w={}",
    "output_dropout": "logits kept",
    "input_drop_rate": "in={}",
    "recycle_every": "recycle={}",
    "recycle_below": "below={}",
    "optimizer": "{}",
    "momentum": "m={}",
    "learning_rate": "lr={}",
    "learning_rate_decay": "decay={}",
    "max_norm": "max-norm={}",
    "init": "init={}",
    "zero_biases": "zero biases",
    "scaling": "{} inputs",
    "weight_decay": "wd={}",
    "batch_size": "batch={}",
    "epochs": "epochs={}",
    "select": "{}",
    "patience": "patience={}",
    "precision": "{}",
    "holdout": "holdout={}",
    "probe_every": "probe={}",
    "mask_passes": "masks={}",
}


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """The settings that all networks of a sweep share; their help says what they are."""

    epochs: int = setting(
        10, COUNT, "passes over the training images; 0: only measure the untrained network"
    )
    batch_size: int = setting(200, POSITIVE_COUNT, "images per update")
    momentum: float = setting(0.0, RATE, "momentum of SGD")
    weight_decay: float = setting(0.0, NOT_NEGATIVE, "L2 penalty of the optimizer")
    holdout: int = setting(
        5000, COUNT, "training images kept for validation; 0: validate on the test set"
    )
    patience: int = setting(
        0, COUNT, "stop after this many epochs without a better validation loss; 0: never"
    )
    select: Select = setting(
        "last",
        choice("last", "best"),
        "keep the last weights, or those with the best validation loss",
    )
    precision: Precision = setting(
        "float32", choice("float32", "bfloat16"), "precision of matrix products in training"
    )
    probe_every: int = setting(20, COUNT, "record the causes of zeros every N updates; 0: never")
    mask_passes: int = setting(
        3,
        COUNT,
        "passes over the training images, before and after training, to find the dead units "
        "that fire under no dropout mask; 0: none",
    )

    def __post_init__(self) -> None:
        """Check that holdout, patience and select fit together.

        Raises:
            UsageError: something would be chosen by the test set.
        """
        if self.holdout == 0 and (self.patience or self.select == "best"):
            chooser = f"patience={self.patience}" if self.patience else "select=best"
            raise UsageError(
                f"holdout must be at least 1 with {chooser}, got 0: it would choose by the test "
                "set; hold out some images, or leave patience and select at their defaults"
            )


@dataclass(frozen=True, kw_only=True)
class Training(Schedule):
    """The settings of a training run except the drop rate; their help says what they are."""

    activation: Activation = setting("relu", ACTIVATION, ACTIVATION_HELP)
    output_dropout: bool = setting(True, YES_OR_NO, OUTPUT_DROPOUT_HELP)
    widths: tuple[int, ...] = setting((256, 256, 128, 128), WIDTHS, "units in each hidden layer")
    optimizer: Optimizer = setting("adam", choice("adam", "sgd"), "optimizer")
    learning_rate: float = setting(0.001, POSITIVE, "step size of the optimizer")
    seed: int = setting(0, COUNT, "seed for initial weights, batch order and masks")
    init: str = setting("default", INIT, INIT_HELP)
    zero_biases: bool = setting(False, YES_OR_NO, ZERO_BIASES_HELP)
    scaling: Scaling = setting("unit", SCALING, SCALING_HELP)
    max_norm: float = setting(0.0, NOT_NEGATIVE, MAX_NORM_HELP)
    learning_rate_decay: float = setting(1.0, FACTOR, DECAY_HELP)

    input_drop_rate: float = setting(
        0.0, RATE, "probability of dropping an input in one training pass; 0: inputs are kept"
    )
    recycle_every: int = setting(
        0, COUNT, "give dead units new weights after every so many epochs (ReDo); 0: never"
    )
    recycle_below: float = setting(
        0.0,
        NOT_NEGATIVE,
        "recycle dormant units too: mean |h| of at most this share of their layer's; 0: dead alone",
    )

    def __post_init__(self) -> None:
        """Check the rules that involve two settings.

        Raises:
            UsageError: something would be chosen by the test set, momentum is set without SGD, or
                a setting of recycling has nothing to act on.
        """
        super().__post_init__()
        if self.momentum and self.optimizer != "sgd":
            raise UsageError(
                f"momentum must be 0 with optimizer={self.optimizer}, got {self.momentum:g}; "
                "use optimizer=sgd"
            )
        if self.recycle_every and self.activation != "relu":
            raise UsageError(
                f"recycle_every must be 0 with activation={self.activation}, got "
                f"{self.recycle_every}: units without a ReLU do not die; leave it at 0, or give "
                "activation=relu"
            )
        if self.recycle_below and not self.recycle_every:
            raise UsageError(
                f"recycle_below must be 0 with recycle_every=0, got {self.recycle_below:g}: "
                "give recycle_every=1 to recycle after every epoch"
            )


@dataclass(frozen=True, kw_only=True)
class Recipe(Training):
    """Everything one network's numbers depend on except data and device."""

    drop_rate: float | ByLayer = setting(
        0.5,
        LAYER_RATES,
        "probability of dropping a unit in one training pass; 0: no dropout; by layer: "
        "0.5-0.5-0.2-0.2-0, with output_dropout=false without the last one, of the logits",
    )

    def __post_init__(self) -> None:
        """Check the rules that involve two settings; a rate that all layers share is one number.

        Raises:
            UsageError: as for `Training`, or there are not as many rates as layers that drop.
        """
        super().__post_init__()
        if not isinstance(self.drop_rate, ByLayer):
            return
        dropping = len(self.widths) + self.output_dropout
        if len(self.drop_rate) != dropping:
            logits = "and one for the logits" if self.output_dropout else "and none for the logits"
            raise UsageError(
                f"drop_rate must be one number, or {dropping} with {len(self.widths)} hidden "
                f"layers and output_dropout={canonical(self.output_dropout)}, got "
                f"{len(self.drop_rate)} ({canonical(self.drop_rate)}): give one for each hidden "
                f"layer {logits}; networks with other numbers of layers need a sweep of their own"
            )
        if len(set(self.drop_rate)) == 1:
            object.__setattr__(self, "drop_rate", self.drop_rate[0])

    @property
    def alone(self) -> "Recipe":
        """The recipe without what a step's settings add to it, such as a device."""
        return Recipe(**{item.name: getattr(self, item.name) for item in fields(Recipe)})

    @property
    def arm(self) -> str:
        """The name of activation and dropout together: relu+dropout, sigmoid, dropout, linear."""
        kind = _ACTIVATIONS.get(self.activation, self.activation)
        parts = [kind] * (kind != "linear") + ["dropout"] * self.has_dropout
        return "+".join(parts) or kind

    @property
    def name(self) -> str:
        """The name of this network in a list of runs, which may cut off its end: `p=0.2 s1 sgd`."""
        return " ".join([f"p={canonical(self.drop_rate)}", f"s{self.seed}", *self.differences])

    @property
    def label(self) -> str:
        """Its name without the seed, for all seeds together."""
        return " ".join([f"p={canonical(self.drop_rate)}", *self.differences])

    @property
    def differences(self) -> list[str]:
        """What else than drop rate and seed differs from the defaults, in few letters each."""
        defaults = {item.name: item.default for item in fields(Recipe)}
        return [
            words.format(_in_name(getattr(self, name)))
            for name, words in _IN_NAMES.items()
            if getattr(self, name) != defaults[name]
        ]

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers' names in metrics: h1 … hL, then logits."""
        return (*(f"h{i}" for i in range(1, len(self.widths) + 1)), "logits")

    def drop_rate_of(self, layer: str) -> float:
        """The drop rate behind this layer: 0 for logits that are not dropped."""
        if layer == "logits" and not self.output_dropout:
            return 0.0
        if isinstance(self.drop_rate, ByLayer):
            return self.drop_rate[self.layers.index(layer)]
        return self.drop_rate

    @property
    def has_dropout(self) -> bool:
        """Whether anything is dropped in training: units, logits or inputs."""
        return self.input_drop_rate > 0 or any(map(self.drop_rate_of, self.layers))

    @property
    def mean_drop_rate(self) -> float:
        """The drop rate; the mean of the hidden layers' where they differ."""
        if not isinstance(self.drop_rate, ByLayer):
            return self.drop_rate
        return sum(map(self.drop_rate_of, self.layers[:-1])) / len(self.widths)

    def has_relu(self, layer: str) -> bool:
        """Whether a ReLU can close the units of this layer; no other activation does."""
        return self.activation == "relu" and layer != "logits"

    @property
    def validated_on(self) -> str:
        """What this network is validated on, in words."""
        return "held-out images" if self.holdout else "test set"

    @property
    def parameters(self) -> dict[str, str]:
        """Every setting as canonical text, so that 0.5 and 0.50 are one value in MLflow."""
        return {item.name: canonical(getattr(self, item.name)) for item in fields(Recipe)}


def _in_name(value: object) -> str:
    """A value as names have it."""
    text = canonical(value).replace(",", "-")
    return _ACTIVATIONS.get(text, text)
