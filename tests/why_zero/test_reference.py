"""The probe against an independent, slow, obvious implementation: loops in float64."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from why_zero import StateCount, ZeroProbe, count_causes
from why_zero.records import CAUSES

Matrix = list[list[float]]


def slow_linear(layer: nn.Linear, y: Matrix) -> Matrix:
    weight, bias = layer.weight.tolist(), layer.bias.tolist()
    return [
        [
            sum(w * v for w, v in zip(row, sample, strict=True)) + b
            for row, b in zip(weight, bias, strict=True)
        ]
        for sample in y
    ]


def slow_mask(batch: int, units: int, rate: float) -> list[list[bool]]:
    """What the generator makes torch keep: a Bernoulli number for every pair, in order."""
    return torch.empty(batch, units, dtype=torch.float64).bernoulli_(1 - rate).bool().tolist()


def slow_causes(z: Matrix, keep: list[list[bool]], *, has_relu: bool) -> list[list[int]]:
    counts = [[0] * len(z[0]) for _ in CAUSES]
    for sample, kept in zip(z, keep, strict=True):
        for unit, value in enumerate(sample):
            if value > 0 or not has_relu:
                cause = "active" if kept[unit] else "dropped"
            else:
                cause = "inactive" if kept[unit] else "both"
            counts[CAUSES.index(cause)][unit] += 1
    return counts


def slow_output(z: Matrix, keep: list[list[bool]], rate: float, *, has_relu: bool) -> Matrix:
    output = []
    for sample, kept in zip(z, keep, strict=True):
        h = [max(value, 0.0) if has_relu else value for value in sample]
        output.append([v / (1 - rate) if k else 0.0 for v, k in zip(h, kept, strict=True)])
    return output


@st.composite
def networks(draw: st.DrawFn) -> tuple[int, list[tuple[int, bool, bool, float]]]:
    """Inputs, then (units, ReLU or none, dropout before the ReLU, drop rate) of each layer."""
    layer = st.tuples(
        st.integers(1, 6), st.booleans(), st.booleans(), st.sampled_from([0.0, 0.1, 0.5, 0.9])
    )
    return draw(st.integers(1, 5)), draw(st.lists(layer, min_size=1, max_size=4))


@settings(deadline=None, max_examples=60)
@given(shape=networks(), batch=st.integers(1, 8), seed=st.integers(0, 2**32))
def test_the_probe_counts_what_loops_over_samples_and_units_count(
    shape: tuple[int, list[tuple[int, bool, bool, float]]], batch: int, seed: int
) -> None:
    torch.manual_seed(seed)
    inputs, layers = shape
    parts: list[nn.Module] = []
    linears = []
    for units, has_relu, is_before, rate in layers:
        linears.append(nn.Linear(inputs, units))
        dropout = nn.Dropout(rate)
        relu = [nn.ReLU()] if has_relu else []
        parts += [linears[-1], *([dropout, *relu] if is_before else [*relu, dropout])]
        inputs = units
    module = nn.Sequential(*parts).double()
    x = torch.randn(batch, shape[0], dtype=torch.float64)
    with ZeroProbe(module) as probe:
        torch.manual_seed(seed + 1)
        module(x).sum().backward()
    torch.manual_seed(seed + 1)
    y = x.tolist()
    found = list(probe.layers.values())
    assert len(found) == len(layers)
    for linear, (units, has_relu, _, rate), layer in zip(linears, layers, found, strict=True):
        z = slow_linear(linear, y)
        # torch draws nothing where nothing is dropped.
        keep = slow_mask(batch, units, rate) if rate else [[True] * units] * batch
        expected = slow_causes(z, keep, has_relu=has_relu)
        assert [getattr(layer.causes, cause).tolist() for cause in CAUSES] == expected
        y = slow_output(z, keep, rate, has_relu=has_relu)


@settings(deadline=None, max_examples=40)
@given(shape=networks(), batch=st.integers(1, 8), seed=st.integers(0, 2**32))
def test_a_census_finds_what_loops_over_samples_and_units_find(
    shape: tuple[int, list[tuple[int, bool, bool, float]]], batch: int, seed: int
) -> None:
    torch.manual_seed(seed)
    inputs, layers = shape
    linears = []
    for units, *_ in layers:
        linears.append(nn.Linear(inputs, units))
        inputs = units
    last = nn.Linear(inputs, 2)
    parts = [part for linear in linears for part in (linear, nn.ReLU(), nn.Dropout(0.5))]
    module = nn.Sequential(*parts, last).double()
    x = torch.randn(batch, shape[0], dtype=torch.float64)
    found = list(ZeroProbe(module).census(x.split(3)).values())
    y, hidden = x.tolist(), []
    for linear in linears:
        y = [[max(value, 0.0) for value in sample] for sample in slow_linear(linear, y)]
        hidden.append(y)
    stack = StateCount(1, [units for units, *_ in layers], torch.device("cpu"))
    stack.add([(torch.tensor([h]), torch.tensor([h])) for h in hidden])
    for place, (h, states) in enumerate(zip(hidden, found, strict=True)):
        fired, reached, size = [0] * len(h[0]), [0] * len(h[0]), [0.0] * len(h[0])
        for sample, values in enumerate(h):
            passes = all(max(later[sample]) > 0 for later in hidden[place + 1 :])
            for unit, value in enumerate(values):
                fired[unit] += value > 0
                reached[unit] += value > 0 and passes
                size[unit] += value / batch
        assert states.samples == batch
        assert states.fired.tolist() == fired
        assert states.reached.tolist() == reached
        np.testing.assert_allclose(states.magnitude, size, rtol=1e-12)
        assert stack.states(place, 0).fired.tolist() == fired
        assert stack.states(place, 0).reached.tolist() == reached


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32), batch=st.integers(1, 6), units=st.integers(1, 5))
def test_the_stack_s_counting_is_that_of_loops(seed: int, batch: int, units: int) -> None:
    source = torch.Generator().manual_seed(seed)
    # Whole numbers, so that exact zeros, which count as closed, are common.
    z = torch.randint(-2, 3, (2, batch, units), generator=source).double()
    keep = torch.rand(2, batch, units, generator=source) < 0.5
    counts = count_causes(z, keep, has_no_relu=torch.tensor([[[False]], [[True]]]))
    for network, has_relu in enumerate((True, False)):
        expected = slow_causes(z[network].tolist(), keep[network].tolist(), has_relu=has_relu)
        assert counts[:, network].tolist() == expected
