"""Watches dead units over a reference set: exactly 0 behind their ReLU, constant where read."""

import math
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, fx

from why_zero._compact.cut import columns_of
from why_zero._compact.flow import Calls, Route
from why_zero._passes import tensors_of
from why_zero.errors import WhyZeroError

# Sums of n terms in another order differ by about sqrt(n) roundings; this many times that is wrong.
_ROUNDINGS = 8
# Pooling and batch norms make the same of the same, but for a few roundings.
_CONSTANT_ROUNDINGS = 32


class Witness(fx.Interpreter):
    """Runs a network call by call, and looks at its dead units."""

    def __init__(
        self, calls: Calls, routes: Iterable[Route], dead: Mapping[str, Sequence[int]]
    ) -> None:
        """Watch the dead units of these routes."""
        super().__init__(calls.module, graph=calls.graph)
        self._dead = dead
        self._relus = {node: route for route in routes for node in route.relus}
        self._readers = {node: route for route in routes for node in route.readers}
        self._bounds: dict[fx.Node, tuple[Tensor, Tensor]] = {}
        self._largest = 0.0
        self._terms = 1

    def run_node(self, n: fx.Node) -> object:
        """The result of a call, after its input and it were looked at."""
        if (route := self._readers.get(n)) is not None:
            [value] = (self.env[node] for node in n.all_input_nodes)
            self._see_constants(n, value, route)
        result = super().run_node(n)
        if (route := self._relus.get(n)) is not None and isinstance(result, Tensor):
            self._see_zeros(n, result, route)
        if n.op == "output":
            self._see_size(*tensors_of(result))
        return result

    @property
    def tolerance(self) -> float:
        """What outputs may differ by when sums are taken in another order."""
        parameters = [p for p in self.module.parameters() if p.is_floating_point()]
        rounding = max((torch.finfo(p.dtype).eps for p in parameters), default=0.0)
        return _ROUNDINGS * math.sqrt(self._terms) * rounding * self._largest

    def constants(self, reader: fx.Node) -> Tensor:
        """What a reader gets of each dead column, float64 on the CPU; NaN where it varies."""
        low, high = (bound.cpu() for bound in self._bounds[reader])
        rounding = _CONSTANT_ROUNDINGS * torch.finfo(low.dtype).eps
        is_constant = high - low <= rounding * torch.maximum(low.abs(), high.abs())
        return torch.where(is_constant, (low.double() + high.double()) / 2, math.nan)

    def _see_zeros(self, node: fx.Node, value: Tensor, route: Route) -> None:
        """Raise WhyZeroError unless a ReLU gives exactly 0 for each dead unit."""
        dead, flow = self._dead[route.path], route.relus[node]
        is_alive = _by_column(value, columns_of(dead, flow.block), flow.axis).ne(0).any(1)
        if bool(is_alive.any()):
            alive = [dead[column // flow.block] for column in is_alive.nonzero().flatten().tolist()]
            raise WhyZeroError(
                "a dead unit must be exactly 0 behind its ReLU for the whole reference set, got "
                f"others for {named(alive)} of {route.path}: give the set that the units are "
                "dead over, in the same batches, and the weights as they were"
            )

    def _see_constants(self, node: fx.Node, value: Tensor, route: Route) -> None:
        flow = route.readers[node]
        columns = _by_column(value, columns_of(self._dead[route.path], flow.block), flow.axis)
        low, high = columns.amin(1), columns.amax(1)
        if node in self._bounds:
            before = self._bounds[node]
            low, high = torch.minimum(low, before[0]), torch.maximum(high, before[1])
        self._bounds[node] = low, high
        self._see_size(value)
        weight = self.module.get_submodule(str(node.target)).get_parameter("weight")
        self._terms = max(self._terms, weight[0].numel())

    def _see_size(self, *values: Tensor) -> None:
        for value in values:
            if value.numel():
                self._largest = max(self._largest, float(value.abs().max()))


def named(units: Iterable[int]) -> str:
    """A few units in words: `units 3, 17`."""
    found = list(dict.fromkeys(units))
    few = ", ".join(map(str, found[:8])) + (" …" if len(found) > 8 else "")
    return f"unit {few}" if len(found) == 1 else f"units {few}"


def _by_column(value: Tensor, columns: Sequence[int], axis: int) -> Tensor:
    """These columns of a tensor, shape (columns, all else)."""
    chosen = value.index_select(axis, torch.tensor(columns, device=value.device))
    return chosen.movedim(axis, 0).flatten(1)
