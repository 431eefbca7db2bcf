"""One call of torch: its name, its arguments, and which calls make or explain zeros."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.nn import Parameter

# Activations whose output is a zero exactly where z <= 0; the last four only for some arguments.
_RELUS = {"relu", "relu6", "hardtanh", "threshold", "clamp", "clamp_min"}

# Activations without such a rule: a zero that they make (hardswish below -3, a rounded GELU) is
# unexplained.
_SOFT = {
    *("celu", "elu", "gelu", "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu"),
    *("logsigmoid", "mish", "prelu", "rrelu", "selu", "sigmoid", "silu", "softplus", "softshrink"),
    *("softsign", "tanh", "tanhshrink", "threshold"),
}

_BLIND_SPOTS = {
    name: reason if ":" in reason else f"{reason}: not counted"
    for names, reason in (
        (
            ("alpha_dropout", "feature_alpha_dropout"),
            "alpha dropout puts a value other than zero in a unit's place",
        ),
        (
            ("bernoulli",),
            "a mask that no dropout function draws: zeros that it makes are unexplained",
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

# Values in the same logical order, perhaps in another shape, type or memory.
RESHAPES = {
    *("view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "ravel", "view_as"),
    *("reshape_as", "unsafe_view", "contiguous", "clone", "detach", "data", "alias", "lift_fresh"),
    *("to", "to_copy", "type", "type_as", "float", "double", "half", "bfloat16", "cpu", "cuda"),
    *("requires_grad", "atleast_1d", "atleast_2d", "atleast_3d"),
}
# Values in other places, some perhaps several times or not at all.
MOVES = {
    *("permute", "transpose", "t", "swapaxes", "swapdims", "movedim", "moveaxis", "adjoint"),
    *("T", "mT", "H", "mH", "expand", "expand_as", "broadcast_to", "repeat", "tile"),
    *("repeat_interleave", "narrow", "select", "slice", "getitem", "index_select", "flip"),
    *("fliplr", "flipud", "roll", "rot90", "pixel_shuffle", "pixel_unshuffle", "channel_shuffle"),
    *("native_channel_shuffle", "unfold", "diagonal", "take_along_dim", "gather", "masked_select"),
}
_PROPERTIES = RESHAPES | MOVES
# One tensor in, several parts out.
SPLITS = {
    *("chunk", "split", "split_with_sizes", "unbind", "tensor_split", "hsplit", "vsplit"),
    *("dsplit", "unsafe_chunk", "unsafe_split"),
}
# Several tensors in, given as one argument, one out.
JOINS = {
    *("cat", "concat", "concatenate", "stack", "hstack", "vstack", "dstack", "column_stack"),
    *("row_stack",),
}
# Zero just where all is zero that a value is made of.
POOLS = {
    *(f"{kind}_pool{axes}d" for kind in ("max", "avg", "lp") for axes in (1, 2, 3)),
    *(f"adaptive_{kind}_pool{axes}d" for kind in ("max", "avg") for axes in (1, 2, 3)),
    *(f"{name}_with_indices" for name in ("max_pool1d", "max_pool2d", "max_pool3d")),
    *(f"fractional_max_pool{axes}d" for axes in (2, 3)),
    *("boolean_dispatch", "interpolate", "upsample", "upsample_nearest", "upsample_bilinear"),
}
REDUCTIONS = {"mean", "sum", "amax"}
# Zero wherever the first argument is, in the same place; with a number as the second.
KEEP_ZEROS = {
    *("mul", "multiply", "div", "divide", "true_divide", "pow", "square", "sqrt", "abs", "neg"),
    *("absolute", "negative", "positive", "sign", "sin", "asin", "sinh", "asinh", "tan", "atan"),
    *("expm1", "log1p", "erf", "masked_fill", "nan_to_num", "fake_quantize_per_tensor_affine"),
}
PRODUCTS = {"mul", "multiply", "div", "divide", "true_divide", "masked_fill"}
SUMS = {"add", "sub", "subtract"}
PADS = {"pad", "constant_pad_nd"}
# What goes on with the values of their arguments.
CARRIES = RESHAPES | MOVES | SPLITS | JOINS | POOLS | REDUCTIONS | KEEP_ZEROS | PADS
# The result's axes are not the arguments'.
MIXES = {
    *("matmul", "bmm", "mm", "mv", "dot", "einsum", "tensordot", "kron", "outer", "baddbmm"),
    *("sort", "argsort", "topk", "cdist", "cov", "corrcoef", "searchsorted", "bucketize"),
}
PRODUCTS_OF_MATRICES = {"matmul", "bmm", "mm", "mv", "addmm", "addmv", "baddbmm", "einsum"}
_CONVOLUTIONS = {
    *("conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"),
    *("conv_tbc",),
}
# How many leading arguments are activations that meet weights in this call.
INPUTS_OF_WEIGHTS = {
    **dict.fromkeys({"linear", *_CONVOLUTIONS, "lstm", "gru", "rnn_tanh", "rnn_relu"}, 1),
    **dict.fromkeys({"lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell"}, 1),
    "bilinear": 2,
    "multi_head_attention_forward": 3,
}
_LAST_AXIS = {*INPUTS_OF_WEIGHTS, "embedding", "embedding_bag"} - _CONVOLUTIONS

# Operators whose methods have a reversed form and one in place, such as __rmul__ and __imul__.
_OPERATORS = {name: name for name in ("add", "sub", "mul", "div", "pow", "matmul")}
_OPERATORS["truediv"] = "div"


class Call:
    """One call of a torch function.

    Attributes:
        name: the function's, without the signs of operators, methods in place and overloads.
        is_inplace: whether it overwrites its first argument.
        is_question: whether it asks for a property that is no tensor with values of the first.
    """

    def __init__(
        self, func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> None:
        self._func, self._args, self._kwargs = func, args, kwargs
        self.name, is_inplace = _name_of(func)
        self.is_inplace = is_inplace or kwargs.get("inplace") is True
        is_property = getattr(func, "__name__", "") == "__get__"
        self.is_question = is_property and self.name not in _PROPERTIES

    def get(self, position: int, *names: str, default: Any = None) -> Any:  # noqa: ANN401
        """An argument by position or by name."""
        if position < len(self._args):
            return self._args[position]
        return next((self._kwargs[name] for name in names if name in self._kwargs), default)

    @property
    def tensor(self) -> Tensor | None:
        """The first argument, where it is a tensor."""
        first = self.get(0, "input", "self", "query")
        return first if isinstance(first, Tensor) else None

    @property
    def tensors(self) -> list[Tensor]:
        """All arguments that are tensors, and those in a list."""
        found: list[Tensor] = []
        for value in (*self._args, *self._kwargs.values()):
            values = value if isinstance(value, tuple | list) else (value,)
            found += [part for part in values if isinstance(part, Tensor)]
        return found

    def over(self, *leading: Any) -> Any:  # noqa: ANN401
        """The same call with other leading arguments, which it may overwrite."""
        if self._args:
            return self._func(*leading, *self._args[len(leading) :], **self._kwargs)
        name = next(name for name in ("input", "self", "tensors") if name in self._kwargs)
        return self._func(**{**self._kwargs, name: leading[0]})

    def again(self, *leading: Any) -> Any:  # noqa: ANN401
        """The same call with other leading arguments, which stay as they are."""
        if self.is_inplace:
            leading = (leading[0].clone(), *leading[1:])
        return self.over(*leading)

    def on_host(self, first: Tensor) -> Any:  # noqa: ANN401
        """The same call on a tensor of the CPU, wherever other arguments lie."""
        args = [_on_host(value) for value in self._args]
        kwargs = {name: _on_host(value) for name, value in self._kwargs.items()}
        return Call(self._func, args, kwargs).over(first.detach())


def _on_host(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, Tensor):
        return value.detach().cpu()
    return tuple(map(_on_host, value)) if isinstance(value, tuple) else value


def _name_of(func: Callable[..., Any]) -> tuple[str, bool]:
    """A function's plain name, and whether it works in place."""
    name = getattr(func, "__name__", "").split(".")[0]  # an overload of torch.ops: relu.default
    if name == "unfold" and func is not Tensor.unfold:
        return "im2col", False  # the other of two functions of this name, with padding
    if name == "__get__":  # a property, such as T
        return getattr(getattr(func, "__self__", None), "__name__", ""), False
    if not name.startswith("__"):
        return name.strip("_"), name.endswith("_")
    plain = name.strip("_")
    operator = plain[1:] if plain[0] in "ir" and plain[1:] in _OPERATORS else plain
    is_inplace = plain == "setitem" or (plain != operator and plain[0] == "i")
    return _OPERATORS.get(operator, operator), is_inplace


@dataclass(frozen=True)
class ActivationCall:
    """A call of an activation function, such as `relu`, on z."""

    name: str
    z: Tensor
    is_relu: bool  # whether it gives 0 exactly where z <= 0


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
    trial_axes: int


def activation_of(call: Call) -> ActivationCall | None:
    """The activation function that is called; None if it is none."""
    plain, z = call.name, call.tensor
    if z is None or plain not in _RELUS | _SOFT | {"clip"} or not z.is_floating_point():
        return None
    if is_relu := _is_relu(plain, call):
        plain = "relu" if plain in {"clamp", "clip", "clamp_min"} else plain
    if not is_relu and plain not in _SOFT:
        return None
    return ActivationCall(plain, z, is_relu)


def _is_relu(name: str, call: Call) -> bool:
    if name in {"relu", "relu6"}:
        return True
    if name == "threshold":
        return _is_zero(call.get(1, "threshold")) and _is_zero(call.get(2, "value"))
    if name == "clamp_min":
        return _is_zero(call.get(1, "min"))
    if name in {"clamp", "clip", "hardtanh"}:
        # None stands for hardtanh's own bounds as well: -1 is not 0, and 1 is above it.
        least, most = call.get(1, "min_val", "min"), call.get(2, "max_val", "max")
        return _is_zero(least) and (most is None or (_is_number(most) and most > 0))
    return False


def _is_number(value: object) -> bool:
    """Whether it is a number of Python's."""
    return isinstance(value, int | float)


def _is_zero(value: object) -> bool:
    return _is_number(value) and value == 0


def dropout_of(call: Call) -> DropoutCall | None:
    """The dropout function that is called; None if it is none."""
    plain, x = call.name, call.tensor
    if x is None or (plain != "dropout" and plain not in _CHANNELWISE):
        return None
    axes = x.dim()
    if plain in _CHANNELWISE:
        # torch takes a missing batch axis from dropout1d and dropout3d only.
        axes = 1 if (plain, axes) in {("dropout1d", 2), ("dropout3d", 4)} else 2
    call.is_inplace = call.is_inplace or bool(call.get(3, "inplace", default=False))
    return DropoutCall(
        name=plain,
        x=x,
        drop_rate=float(call.get(1, "p", default=0.5)),
        is_training=bool(call.get(2, "training", "train", default=True)),
        trial_axes=axes,
    )


def axis_of_new_units(call: Call, result: Tensor, *, has_weights: bool) -> int | None:
    """The axis of the units where weights make new ones in this call."""
    name = call.name
    if not result.dim():
        return None
    if name in _CONVOLUTIONS:
        return 2 if name == "conv_tbc" else result.dim() - int(name[-2]) - 1
    if name in PRODUCTS_OF_MATRICES and has_weights:
        # W x has its units where W has its rows; x W and torch.addmm(b, x, W) have them last.
        is_left = isinstance(call.get(0), Parameter) and call.get(0).dim() > 1
        return -2 if is_left and result.dim() > 1 else -1
    return -1 if name in _LAST_AXIS else None


def blind_spot(call: Call) -> str | None:
    """Why a call makes zeros (or none) that cannot be explained; None for all other calls."""
    name = call.name
    is_silent = (
        name.endswith("alpha_dropout") and not call.get(2, "training", "train", default=False)
    ) or (name == "scaled_dot_product_attention" and not call.get(4, "dropout_p", default=0.0))
    return None if is_silent else _BLIND_SPOTS.get(name)
