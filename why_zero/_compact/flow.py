"""Where the units of a layer go: a module as a graph of calls, followed to the next weights."""

import operator
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from why_zero.errors import WhyZeroError

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
WEIGHTED = (nn.Linear, *CONVOLUTIONS)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)

# Exactly 0 wherever z <= 0.
_RELU = frozenset(
    {nn.ReLU, nn.ReLU6, F.relu, F.relu_, F.relu6, torch.relu, torch.relu_, "relu", "relu_"}
)
# In evaluation mode each gives back what it gets.
_UNCHANGED = frozenset(
    {
        nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout,
        nn.FeatureAlphaDropout, "contiguous",
    }
)  # fmt: skip
_DROPOUT = frozenset(
    {F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, F.alpha_dropout, F.feature_alpha_dropout}
)
# By the number of axes that each pools along.
_POOLS = {
    getattr(place, name.format(axes)): axes
    for axes in (1, 2, 3)
    for place, name in (
        (nn, "MaxPool{}d"),
        (nn, "AvgPool{}d"),
        (nn, "AdaptiveMaxPool{}d"),
        (nn, "AdaptiveAvgPool{}d"),
        (F, "max_pool{}d"),
        (F, "avg_pool{}d"),
        (F, "adaptive_avg_pool{}d"),
        (F, "adaptive_max_pool{}d"),
    )
}


class Unremovable(Exception):  # noqa: N818 a claim
    """Why the units of a layer stay: the message is a reason in words."""


@dataclass(frozen=True)
class Flow:
    """How a tensor holds the units of a layer.

    Attributes:
        axis: along which they lie.
        block: how many neighbours along it are one unit's, once positions are flattened.
        is_rectified: whether a ReLU has been passed.
    """

    axis: int
    block: int = 1
    is_rectified: bool = False


@dataclass
class Route:
    """All calls that the units of one layer meet, up to the next weights.

    Attributes:
        path: the layer.
        relus: the calls that close them, with how their results hold the units.
        norms: the batch norms in between, by path.
        readers: the calls with weights that take them in, with how their inputs hold the units.
    """

    path: str
    relus: dict[fx.Node, Flow] = field(default_factory=dict)
    norms: dict[str, Flow] = field(default_factory=dict)
    readers: dict[fx.Node, Flow] = field(default_factory=dict)


class Calls:
    """A module's calls as a graph, with the shapes that a sample has on its way.

    Attributes:
        module: in evaluation mode.
        graph: its calls in order; modules of torch's own are called, not looked into.
    """

    def __init__(self, module: nn.Module, sample: Tensor) -> None:
        """Trace the module, and send one sample through.

        Raises:
            WhyZeroError: its forward cannot be traced.
        """
        self.module = module
        try:
            self.graph = _Tracer().trace(module)
            self._shapes = _Shapes(module, self.graph)
            self._shapes.run(sample)
        except Exception as error:  # whatever a forward raises that was not written for tracing
            reason = str(error).strip().splitlines() or [type(error).__name__]
            raise WhyZeroError(
                "a module must be one that torch.fx can trace, to follow its units, got "
                f"{type(module).__name__} ({reason[0][:200]}): compact the traceable part of it"
            ) from error
        self._calls: Counter[int] = Counter()
        self._nodes: dict[str, fx.Node] = {}
        for node in self.graph.nodes:
            if node.op == "call_module":
                self._calls[id(module.get_submodule(node.target))] += 1
                self._nodes[node.target] = node
        self._paths = Counter(id(m) for _, m in module.named_modules(remove_duplicate=False))
        self._owners: dict[int, set[int]] = {}
        for part in module.modules():
            for parameter in part.parameters(recurse=False):
                self._owners.setdefault(id(parameter), set()).add(id(part))
        self._read_alone = {
            node.target.rpartition(".")[0] for node in self.graph.nodes if node.op == "get_attr"
        }

    def route(self, path: str) -> Route:
        """Where the units of the layer at this path go.

        Raises:
            Unremovable: they cannot be followed to weights that are free to change.
        """
        layer = self.module.get_submodule(path)
        if path not in self._nodes:
            raise Unremovable("the layer is not called, or not as a module")
        self._check_free(path, WEIGHTED)
        if isinstance(layer, CONVOLUTIONS) and layer.groups > 1:
            raise Unremovable(f"the layer is a convolution in {layer.groups} groups")
        route = Route(path)
        node = self._nodes[path]
        self._follow(node, Flow(axis=self._unit_axis(node, layer)), route)
        return route

    def _follow(self, node: fx.Node, flow: Flow, route: Route) -> None:
        """Note what becomes of the units that the result of this call holds."""
        if not node.users:
            raise Unremovable("nothing uses what the layer gives")
        for user in node.users:
            if _reads_only_the_batch(user):
                continue
            if (reader := self._module(user)) is not None and isinstance(reader, WEIGHTED):
                self._check_reader(user, reader, flow)
                route.readers[user] = flow
                continue
            onward = self._passed(node, user, flow, route)
            self._follow(user, onward, route)

    def _passed(self, node: fx.Node, user: fx.Node, flow: Flow, route: Route) -> Flow:
        """How the result of this call holds the units that go into it."""
        if user.op == "output":
            raise Unremovable("they are outputs of the network")
        kind, shape = self._kind(user), self._shapes.of[node]
        if (dims := self._flattened(node, user)) is not None:
            return _flattened(flow, dims, shape, name=_name(user))
        if user.all_input_nodes != [node]:
            raise Unremovable(f"they meet other values in {_name(user)}")
        if kind in _RELU:
            onward = replace(flow, is_rectified=True)
            if not flow.is_rectified:
                route.relus[user] = onward
            return onward
        if kind in _UNCHANGED or (kind in _DROPOUT and not _drops(user)):
            return flow
        if kind in NORMS:
            self._check_free(str(user.target), NORMS)
            if flow.axis != 1:
                raise Unremovable(f"{_name(user)} normalises along another axis than theirs")
            route.norms[str(user.target)] = flow
            return flow
        # Images without a batch would be pooled along their units.
        if kind in _POOLS and flow.axis < len(shape) - _POOLS[kind] and user in self._shapes.of:
            return flow
        raise Unremovable(f"they are not followed through {_name(user)}")

    def _check_reader(self, user: fx.Node, reader: nn.Module, flow: Flow) -> None:
        """Raise Unremovable unless columns of these weights can go."""
        if not flow.is_rectified:
            raise Unremovable(f"they reach {user.target} without a ReLU in between")
        self._check_free(str(user.target), WEIGHTED)
        if isinstance(reader, CONVOLUTIONS) and reader.groups > 1:
            raise Unremovable(
                f"{user.target} reads them as a convolution in {reader.groups} groups"
            )
        if flow.axis != self._unit_axis(user.all_input_nodes[0], reader):
            raise Unremovable(f"{user.target} does not read along their axis")

    def _check_free(self, path: str, types: tuple[type[nn.Module], ...]) -> None:
        """Raise Unremovable where others depend on what is in this module."""
        part = self.module.get_submodule(path)
        if type(part) not in types:
            raise Unremovable(f"{path} is a {type(part).__name__}, whose weights are left alone")
        if part._forward_hooks or part._forward_pre_hooks:  # noqa: SLF001 - have no public name
            raise Unremovable(f"{path} has hooks, which may depend on its shape")
        owners = [self._owners[id(p)] for p in part.parameters(recurse=False)]
        above = {path[:dot] for dot in range(len(path)) if path[dot] == "."}
        if (
            self._calls[id(part)] > 1
            or not above.isdisjoint(self._nodes)  # called as a whole, and whatever is in it
            or self._paths[id(part)] > 1
            or path in self._read_alone
            or any(len(each) > 1 for each in owners)
        ):
            raise Unremovable(f"{path} is used in more than one place, or shares its weights")

    def _unit_axis(self, node: fx.Node, layer: nn.Module) -> int:
        """The axis of channels or features in this result."""
        axes = len(self._shapes.of[node])
        if isinstance(layer, nn.Linear):
            return axes - 1
        if axes != len(layer.kernel_size) + 2:  # type: ignore[arg-type]
            raise Unremovable("its images come without a batch")
        return 1

    def _module(self, node: fx.Node) -> nn.Module | None:
        return self.module.get_submodule(str(node.target)) if node.op == "call_module" else None

    def _kind(self, node: fx.Node) -> object:
        """What is called: a module's type, a function or the name of a method."""
        part = self._module(node)
        return node.target if part is None else type(part)

    def _flattened(self, node: fx.Node, user: fx.Node) -> tuple[int, int] | None:
        """The first and last axis that a call makes one of; None where it is no such call."""
        if isinstance(part := self._module(user), nn.Flatten):
            return part.start_dim, part.end_dim
        arguments: Any = user.args
        if user.target in (torch.flatten, "flatten"):
            dims: Any = dict(zip(("start_dim", "end_dim"), arguments[1:], strict=False))
            dims = {"start_dim": 0, "end_dim": -1} | dims | user.kwargs
            return dims["start_dim"], dims["end_dim"]
        if user.target in ("view", "reshape", torch.reshape) and arguments[0] is node:
            sizes = arguments[1] if isinstance(arguments[1], tuple | list) else arguments[1:]
            batch = self._shapes.of[node][0]
            is_batch = isinstance(sizes[0], fx.Node) and self._shapes.of[user][0] == batch
            # A number in the place of -1 would be wrong once units are gone.
            return (1, -1) if is_batch and tuple(sizes[1:]) == (-1,) else None
        return None


class _Tracer(fx.Tracer):
    """Looks into all modules but torch's own and those that cannot be traced."""

    def __init__(self) -> None:
        super().__init__()
        self._is_opaque: dict[int, bool] = {}

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Whether a module is called as a whole."""
        if super().is_leaf_module(m, module_qualified_name):
            return True
        if id(m) not in self._is_opaque:
            self._is_opaque[id(m)] = not self._is_traceable(m)
        return self._is_opaque[id(m)]

    def _is_traceable(self, part: nn.Module) -> bool:
        inner = _Tracer()
        inner._is_opaque = self._is_opaque
        try:
            inner.trace(part)
        except Exception:  # noqa: BLE001 - whatever a forward raises that was not written for this
            return False
        return True


class _Shapes(fx.Interpreter):
    """Notes the shape of every tensor on its way."""

    def __init__(self, module: nn.Module, graph: fx.Graph) -> None:
        super().__init__(module, graph=graph)
        self.of: dict[fx.Node, torch.Size] = {}

    def run_node(self, n: fx.Node) -> object:
        """The result of a call, its shape noted."""
        result = super().run_node(n)
        if isinstance(result, Tensor):
            self.of[n] = result.shape
        return result


def _flattened(flow: Flow, dims: tuple[int, int], shape: torch.Size, *, name: str) -> Flow:
    """How a tensor of this shape holds its units once the axes from dims[0] to dims[1] are one."""
    start, end = (dim % len(shape) for dim in dims)
    if start < flow.axis <= end:
        raise Unremovable(f"{name} mixes them with the axes before them")
    if start == flow.axis:
        return replace(flow, block=flow.block * shape[start + 1 : end + 1].numel())
    return flow if flow.axis < start else replace(flow, axis=flow.axis - (end - start))


def _reads_only_the_batch(user: fx.Node) -> bool:
    """Whether a call only asks for the number of samples, as `x.size(0)` does."""
    arguments: Any = user.args
    is_size = user.op == "call_method" and user.target == "size"
    if is_size and len(arguments) == 2:
        return bool(arguments[1] == 0)
    is_shape = is_size or (user.target is getattr and arguments[1] == "shape")
    return is_shape and all(
        item.target is operator.getitem and item.args[1] == 0 for item in user.users
    )


def _drops(node: fx.Node) -> bool:
    """Whether this call of a dropout function drops although the network is evaluated."""
    training = node.args[2] if len(node.args) > 2 else node.kwargs.get("training", True)
    return training is not False


def _name(node: fx.Node) -> str:
    """What people call this call: a module's path, or the function."""
    return node.target if isinstance(node.target, str) else node.target.__name__
