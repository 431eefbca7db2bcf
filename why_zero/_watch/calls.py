"""Which calls of torch make zeros, and how they are asked to: names and arguments, read only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

# Activations whose output is a zero exactly where z <= 0; the last four only for some arguments.
_RELUS = {"relu", "relu6", "hardtanh", "threshold", "clamp", "clamp_min"}

# Activations without such a rule. What they may make zero (hardswish below -3, a rounded GELU) is
# counted as another zero, never as inactive.
_SOFT = {
    *("celu", "elu", "gelu", "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu"),
    *("logsigmoid", "mish", "prelu", "rrelu", "selu", "sigmoid", "silu", "softplus", "softshrink"),
    *("softsign", "tanh", "tanhshrink", "threshold"),
}

_BLIND_SPOTS = {
    name: f"{reason}: not counted"
    for names, reason in (
        (
            ("alpha_dropout", "feature_alpha_dropout"),
            "alpha dropout puts a value other than zero in a unit's place",
        ),
        (("native_dropout",), "native_dropout gives its mask to the caller, F.dropout does not"),
        (
            ("scaled_dot_product_attention", "multi_head_attention_forward"),
            "what happens inside attention is not seen",
        ),
        (
            ("lstm", "gru", "rnn_tanh", "rnn_relu"),
            "what happens inside a recurrent layer is not seen",
        ),
    )
    for name in names
}

_CHANNELWISE = {"feature_dropout", "dropout1d", "dropout2d", "dropout3d"}


@dataclass(frozen=True)
class ActivationCall:
    """A call of an activation function, such as `relu`, on z."""

    name: str
    z: Tensor
    is_relu: bool  # whether it gives 0 exactly where z <= 0
    is_inplace: bool


@dataclass(frozen=True)
class DropoutCall:
    """A call of a dropout function, such as `dropout2d`, on x.

    `trial_axes` is how many leading axes number the independent trials: all, or sample and channel
    where whole channels are dropped.
    """

    name: str
    x: Tensor
    drop_rate: float
    is_training: bool
    is_inplace: bool
    trial_axes: int


class Arguments:
    """Arguments of a call, by position or by name."""

    def __init__(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        self._args, self._kwargs = args, kwargs

    def get(self, position: int, *names: str, default: Any = None) -> Any:  # noqa: ANN401
        if position < len(self._args):
            return self._args[position]
        return next((self._kwargs[name] for name in names if name in self._kwargs), default)

    def named(self, name: str) -> Any:  # noqa: ANN401
        return self._kwargs.get(name)

    @property
    def tensor(self) -> Tensor | None:
        """The first argument, where it is a tensor."""
        first = self.get(0, "input", "self")
        return first if isinstance(first, Tensor) else None


def activation_of(name: str, arguments: Arguments) -> ActivationCall | None:
    """The activation that a function of this name is, called like that; None if it is none."""
    plain = name.strip("_")
    z = arguments.tensor
    if z is None or plain not in _RELUS | _SOFT | {"clip"} or not z.is_floating_point():
        return None
    if is_relu := _is_relu(plain, arguments):
        plain = "relu" if plain in {"clamp", "clip", "clamp_min"} else plain
    if not is_relu and plain not in _SOFT:
        return None
    is_inplace = name.endswith("_") or bool(arguments.named("inplace"))
    return ActivationCall(plain, z, is_relu, is_inplace)


def _is_relu(name: str, arguments: Arguments) -> bool:
    if name in {"relu", "relu6"}:
        return True
    if name == "threshold":
        return _is_zero(arguments.get(1, "threshold")) and _is_zero(arguments.get(2, "value"))
    if name == "clamp_min":
        return _is_zero(arguments.get(1, "min"))
    if name in {"clamp", "clip", "hardtanh"}:
        is_hardtanh = name == "hardtanh"
        least = arguments.get(1, "min_val", "min", default=-1.0 if is_hardtanh else None)
        most = arguments.get(2, "max_val", "max", default=1.0 if is_hardtanh else None)
        return _is_zero(least) and (most is None or (_is_number(most) and most > 0))
    return False


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


def _is_zero(value: object) -> bool:
    return _is_number(value) and value == 0


def dropout_of(name: str, arguments: Arguments) -> DropoutCall | None:
    """The dropout that a function of this name is, called like that; None if it is none."""
    plain = name.rstrip("_")
    x = arguments.tensor
    if x is None or (plain != "dropout" and plain not in _CHANNELWISE):
        return None
    axes = x.dim()
    if plain in _CHANNELWISE:
        # torch takes a missing batch axis from dropout1d and dropout3d only.
        axes = 1 if (plain, axes) in {("dropout1d", 2), ("dropout3d", 4)} else 2
    return DropoutCall(
        name=plain,
        x=x,
        drop_rate=float(arguments.get(1, "p", default=0.5)),
        is_training=bool(arguments.get(2, "training", "train", default=True)),
        is_inplace=name.endswith("_") or bool(arguments.get(3, "inplace", default=False)),
        trial_axes=axes,
    )


def blind_spot(name: str, arguments: Arguments) -> str | None:
    """Why a call makes zeros (or none) that cannot be explained; None for all other calls."""
    plain = name.strip("_")
    is_silent = (
        plain.endswith("alpha_dropout") and not arguments.get(2, "training", "train", default=False)
    ) or (
        plain == "scaled_dot_product_attention" and not arguments.get(4, "dropout_p", default=0.0)
    )
    return None if is_silent else _BLIND_SPOTS.get(plain)
