"""The instrument's checks of itself: silent when it is right, loud when it is wrong.

The wrong instruments of the end are planted one by one; each is what somebody has built before.
"""

from collections.abc import Callable
from fractions import Fraction
from math import comb

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binomtest
from torch import Tensor

from why_zero import BrokenIdentity, causes_of, count_causes
from why_zero.identities import (
    FALSE_ALARM,
    _p_value_bounds,
    check_activation,
    check_counts,
    check_dead,
    check_dropped,
    check_firing,
    check_gradients,
    check_pass,
    check_states,
    check_survivors,
    check_updates,
    check_zero_rate,
    check_zeros,
)
from why_zero.records import UnitStates, ZeroCauses

RATES = [0.2, 0.5, 0.9]


class Layer:
    """One layer of three networks in one pass: z, mask and y, made as the definitions say."""

    def __init__(self, seed: int, *, batch: int = 400, units: int = 50) -> None:
        source = torch.Generator().manual_seed(seed)
        self.rates = torch.tensor(RATES)[:, None, None]
        self.z = torch.randn(3, batch, units, generator=source) - 0.3
        self.keep = torch.rand(3, batch, units, generator=source) >= self.rates
        self.scale = 1 / (1 - self.rates)
        self.h = self.z.relu()
        self.y = self.h * (self.keep * self.scale)
        self.none_linear = torch.zeros(3, 1, 1, dtype=torch.bool)
        self.counts = count_causes(self.z, self.keep, has_no_relu=self.none_linear)


@pytest.fixture
def layer() -> Layer:
    return Layer(0)


def check(layer: Layer, *, has_no_relu: Tensor | None = None) -> None:
    check_pass(
        "h1",
        layer.counts,
        z=layer.z,
        y=layer.y,
        keep=layer.keep,
        scale=layer.scale,
        has_no_relu=layer.none_linear if has_no_relu is None else has_no_relu,
    )


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**32), batch=st.integers(1, 40), units=st.integers(1, 9))
def test_a_right_measurement_is_silent(seed: int, batch: int, units: int) -> None:
    """Statistical checks: at most 1e-12 each, so 25 examples alarm wrongly in under 1e-10 runs."""
    layer = Layer(seed, batch=batch, units=units)
    check(layer)
    check_counts("h1", layer.counts, batch)
    check_dropped("h1", layer.counts, RATES)
    check_survivors("h1", layer.h, layer.y, keep=layer.keep, scale=layer.scale)
    zeros = (layer.y == 0).sum(1)
    check_zero_rate(
        "h1", zeros.sum(1), layer.counts[2:].sum((0, 2)), pairs=batch * units, drop_rates=RATES
    )


def test_networks_with_and_without_relu_are_checked_side_by_side() -> None:
    layer = Layer(1)
    layer.z[1, :, 0] = 0.0  # zeros of a linear unit are nobody's fault
    has_no_relu = torch.tensor([False, True, True])[:, None, None]
    layer.y = torch.where(has_no_relu, layer.z, layer.z.relu()) * (layer.keep * layer.scale)
    layer.counts = count_causes(layer.z, layer.keep, has_no_relu=has_no_relu)
    check(layer, has_no_relu=has_no_relu)
    check_dropped("h1", layer.counts, RATES)
    layer.y *= 1.5
    with pytest.raises(BrokenIdentity, match="identity 4"):
        check(layer, has_no_relu=has_no_relu)


@pytest.mark.parametrize("function", [torch.sigmoid, torch.nn.functional.leaky_relu])
def test_dropout_behind_another_activation_is_checked_by_what_it_is_given(
    function: Callable[[Tensor], Tensor],
) -> None:
    layer = Layer(2)
    layer.z[1, 0, 0] = 0.0  # a leaky unit's own zero is nobody's fault
    lacks_relu = torch.tensor([False, True, True])[:, None, None]
    h = torch.where(lacks_relu, function(layer.z), layer.z.relu())
    counts = count_causes(layer.z, layer.keep, has_no_relu=lacks_relu)
    arguments = {"z": layer.z, "keep": layer.keep, "scale": layer.scale, "has_no_relu": lacks_relu}
    check_pass("h1", counts, y=h * (layer.keep * layer.scale), h=h, **arguments)
    wrong = torch.where(lacks_relu, layer.z, h)  # as if the function were not there
    with pytest.raises(BrokenIdentity) as caught:
        check_pass("h1", counts, y=wrong * (layer.keep * layer.scale), h=h, **arguments)
    assert caught.value.identity == 4


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_an_activation_is_compared_to_the_rounding_of_its_type(dtype: torch.dtype) -> None:
    z = torch.linspace(-30, 30, 301, dtype=dtype).reshape(1, -1, 7)
    exact = (1 / (1 + (-z.double()).exp())).float()
    check_activation("h1", torch.sigmoid(z), exact)
    for wrong in (torch.sigmoid(z) + 0.1, z, torch.full_like(z, torch.nan)):
        with pytest.raises(BrokenIdentity) as caught:
            check_activation("h1", wrong, exact)
        assert caught.value.identity == 14


def test_an_activation_of_what_is_not_finite_is_left_to_whoever_judges_divergence() -> None:
    nothing = torch.full((1, 2, 3), torch.nan)
    check_activation("h1", nothing, nothing)


def test_a_layer_without_dropout_is_checked_too(layer: Layer) -> None:
    counts = count_causes(layer.z, None, has_no_relu=layer.none_linear)
    for y, is_right in ((layer.h, True), (layer.z, False)):
        arguments = {"z": layer.z, "y": y, "keep": None, "has_no_relu": layer.none_linear}
        if is_right:
            check_pass("h1", counts, scale=torch.ones(3, 1, 1), **arguments)
        else:
            with pytest.raises(BrokenIdentity, match="identity 4"):  # there is no order to mistake
                check_pass("h1", counts, scale=torch.ones(3, 1, 1), **arguments)


def test_a_linear_unit_s_own_zeros_are_nobody_s_fault_without_dropout_either(layer: Layer) -> None:
    layer.z[:, :3, 0] = 0.0
    has_no_relu = torch.ones(3, 1, 1, dtype=torch.bool)
    counts = count_causes(layer.z, None, has_no_relu=has_no_relu)
    arguments = {
        "y": layer.z,
        "keep": None,
        "scale": torch.ones(3, 1, 1),
        "has_no_relu": has_no_relu,
    }
    check_pass("logits", counts, z=layer.z, **arguments)
    counts[0, 0, 0] -= 1
    counts[2, 0, 0] += 1
    with pytest.raises(BrokenIdentity, match=r"expected 4 zeros .* observed 3 in y"):
        check_pass("logits", counts, z=layer.z, **arguments)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("rate", [0.1, 0.3, 0.5, 0.9])
def test_survivors_agree_to_the_rounding_of_their_type(dtype: torch.dtype, rate: float) -> None:
    h = torch.randn(100, 100, generator=torch.Generator().manual_seed(2)).to(dtype).relu()
    torch.manual_seed(3)
    y = torch.nn.functional.dropout(h, rate)
    torch.manual_seed(3)
    keep = torch.nn.functional.dropout(torch.ones_like(h), rate) != 0
    check_survivors("h1", h, y, keep=keep, scale=1 / (1 - rate))
    off = y * (1 + 16 * torch.finfo(dtype).eps)
    with pytest.raises(BrokenIdentity):
        check_survivors("h1", h, off, keep=keep, scale=1 / (1 - rate))


def test_a_diverged_network_is_left_alone_and_its_neighbours_are_not(layer: Layer) -> None:
    layer.z[1, 3, 4] = float("nan")
    layer.y[1, 3, 4] = float("nan")
    layer.counts = count_causes(layer.z, layer.keep, has_no_relu=layer.none_linear)
    check(layer)
    layer.y[0] *= 1.5
    with pytest.raises(BrokenIdentity):
        check(layer)


def test_the_backward_pass_gives_the_mask_back(layer: Layer) -> None:
    h = layer.h.clone().requires_grad_()
    y = h * (layer.keep * layer.scale)
    y.retain_grad()
    (y.sin() * torch.arange(50)).sum().backward()
    assert h.grad is not None
    assert y.grad is not None
    check_gradients("h1", h.grad, y.grad, keep=layer.keep, scale=layer.scale)
    with pytest.raises(BrokenIdentity, match="identity 7 must hold in layer h1"):
        check_gradients("h1", y.grad, y.grad, keep=layer.keep, scale=layer.scale)
    with pytest.raises(BrokenIdentity):
        check_gradients("h1", h.grad, y.grad, keep=~layer.keep, scale=layer.scale)


def test_a_break_names_the_layer_the_identity_the_expected_and_the_observed() -> None:
    counts = torch.tensor([[3, 3], [1, 1], [4, 4], [2, 1]])
    with pytest.raises(BrokenIdentity) as broken:
        causes_of(counts, 10, layer="h3")
    error = broken.value
    assert (error.layer, error.identity) == ("h3", 1)
    assert (error.expected, error.observed) == ("10 pairs a unit", 9)
    assert "layer h3" in str(error)
    assert "expected 10 pairs a unit, observed 9" in str(error)
    assert "\n" not in str(error)


# Wrong instruments.


def test_an_inverted_mask_is_caught(layer: Layer) -> None:
    layer.keep = ~layer.keep
    layer.counts = count_causes(layer.z, layer.keep, has_no_relu=layer.none_linear)
    with pytest.raises(BrokenIdentity):
        check(layer)
    with pytest.raises(BrokenIdentity):
        check_survivors("h1", layer.h, layer.y, keep=layer.keep, scale=layer.scale)
    with pytest.raises(BrokenIdentity):
        check_dropped("h1", layer.counts, RATES)


def test_a_missing_scale_is_caught(layer: Layer) -> None:
    layer.y = layer.h * layer.keep
    with pytest.raises(BrokenIdentity, match="identity 5"):
        check(layer)
    with pytest.raises(BrokenIdentity, match="identity 4"):
        check_survivors("h1", layer.h, layer.y, keep=layer.keep, scale=layer.scale)


@pytest.mark.parametrize("cause", [1, 2])
def test_both_folded_into_another_cause_is_caught(layer: Layer, cause: int) -> None:
    folded = layer.counts.clone()
    folded[cause] += folded[3]
    folded[3] = 0
    layer.counts = folded
    check(layer)  # they still add up, and are still the zeros
    with pytest.raises(BrokenIdentity, match="identity 3 must hold in layer h1"):
        check_dropped("h1", folded, RATES)


@pytest.mark.parametrize("cause", [1, 2, 3])
def test_zeros_counted_as_active_are_caught(layer: Layer, cause: int) -> None:
    layer.counts[0] += layer.counts[cause]
    layer.counts[cause] = 0
    with pytest.raises(BrokenIdentity, match=r"identity 1 must hold in layer h1 .* in y"):
        check(layer)


def test_s_from_evaluation_mode_is_caught(layer: Layer) -> None:
    """As in the definitions: a zero rate of .541 in evaluation mode is .566 in the pass."""
    zeros = (layer.y == 0).sum((1, 2))
    evaluated = (layer.z + 0.06 <= 0).sum((1, 2))
    check_zero_rate("h1", zeros, (layer.z <= 0).sum((1, 2)), pairs=20_000, drop_rates=RATES)
    with pytest.raises(BrokenIdentity, match="identity 2 must hold in layer h1"):
        check_zero_rate("h1", zeros, evaluated, pairs=20_000, drop_rates=RATES)


@pytest.mark.parametrize(("zeros", "drop_rate"), [(9, 0.0), (21, 1.0)])
def test_fewer_zeros_than_closed_pairs_and_more_than_pairs_are_caught(
    zeros: int, drop_rate: float
) -> None:
    """10 of 20 are closed: no mask opens one of them, and there are no more than 20."""
    found, closed = torch.tensor([zeros]), torch.tensor([10])
    with pytest.raises(BrokenIdentity, match="identity 2"):
        check_zero_rate("h1", found, closed, pairs=20, drop_rates=[drop_rate])


def test_logits_counted_as_hidden_units_are_caught(layer: Layer) -> None:
    layer.y = layer.z * (layer.keep * layer.scale)  # logits go on below zero
    with pytest.raises(BrokenIdentity):
        check(layer)


def test_death_judged_on_one_training_pass_is_caught() -> None:
    """A unit that fires for one sample of D and is dropped there learns in evaluation mode."""
    x = torch.eye(4, dtype=torch.float64)
    weight = torch.tensor([[-1.0, -1.0, -1.0, -1.0], [-1.0, 2.0, -1.0, -1.0]]).double()
    weight.requires_grad_()
    z = x @ weight.T
    keep = torch.ones(4, 2, dtype=torch.bool)
    keep[1, 1] = False  # the one sample for which the second unit fires
    judged_dead = ((z.relu() * keep * 2) == 0).all(0)
    assert judged_dead.tolist() == [True, True]
    [gradient] = torch.autograd.grad(z.relu().sum(), weight)
    norms = gradient.norm(dim=1)[None]
    check_dead("h1", (z <= 0).all(0)[None], norms)
    with pytest.raises(BrokenIdentity, match=r"identity 8 .* gradient of 0\.0 for unit 1"):
        check_dead("h1", judged_dead[None], norms)


def test_a_mask_that_spares_every_second_unit_is_caught() -> None:
    """The trap of 63 random bits: half of the units are dropped twice as often, half never."""
    z = torch.randn(1, 2000, 64, generator=torch.Generator().manual_seed(6))
    keep = torch.rand(z.shape, generator=torch.Generator().manual_seed(7)) >= 0.5
    keep[..., ::2] = True
    keep[..., 1::2] = False
    counts = count_causes(z, keep, has_no_relu=torch.zeros(1, 1, 1, dtype=torch.bool))
    with pytest.raises(BrokenIdentity):
        check_dropped("h1", counts, [0.5])


def test_a_drop_rate_that_is_off_by_a_hundredth_is_caught_in_an_epoch() -> None:
    counts = np.random.default_rng(8).multinomial(200_000, [0.255, 0.245, 0.255, 0.245], 32).T
    with pytest.raises(BrokenIdentity, match="identity 3"):
        check_dropped("h1", torch.from_numpy(counts)[:, None], [0.5])
    check_dropped("h1", torch.from_numpy(counts)[:, None], [0.49])


def test_the_worst_of_many_units_may_be_further_off_than_a_unit_alone() -> None:
    """154 of 200 dropped at 0.5: at most 9e-14, too small alone, not as the worst of 5,000."""
    counts = torch.full((4, 1, 5000), 100)
    counts[2:] = 0
    counts[:2, 0, 0] = torch.tensor([46, 154])
    check_dropped("h1", counts, [0.5])
    with pytest.raises(BrokenIdentity, match="of 200"):
        check_dropped("h1", counts[..., :1], [0.5])


def test_the_level_of_a_call_is_shared_by_its_four_tests() -> None:
    """43 of 43 dropped at 0.5 have the p-value 2**-42, 2.3e-13, below 1e-12 / 4; 42 have not."""
    check_dropped("h1", torch.tensor([0, 42, 0, 0])[:, None, None], [0.5])
    with pytest.raises(BrokenIdentity, match="dropped of 43, observed 43"):
        check_dropped("h1", torch.tensor([0, 43, 0, 0])[:, None, None], [0.5])


def test_zeros_to_expect_are_those_of_independent_causes() -> None:
    """S = (3 + 2) / 10 and p = 0.4: s + p - s p = 0.7."""
    unit = [np.array([count]) for count in (4, 1, 3, 2)]
    assert ZeroCauses(*unit).expected_zero_share(0.4) == pytest.approx(0.7)


def test_a_record_with_the_causes_of_another_layer_is_caught() -> None:
    """By hand: 1 + 2 + 3 and 4 + 0 + 1 zeros of its two units."""
    causes = ZeroCauses(*(np.array(unit) for unit in ([9, 9], [1, 4], [2, 0], [3, 1])))
    check_zeros("h1", causes, torch.tensor([6, 5]))
    with pytest.raises(BrokenIdentity, match=r"expected 4 zeros of unit 1, observed 5"):
        check_zeros("h1", causes, torch.tensor([6, 4]))


# Three samples of three units, one of them closed, and of a layer behind that one sample closes.
Z = torch.tensor([[1.0, -2.0, 0.0], [3.0, -1.0, 0.0], [-4.0, -1.0, 6.0]])
LATER = [torch.tensor([[1.0, -1.0], [-1.0, 0.0], [0.0, 2.0]])]


def states(**changes: list[float]) -> UnitStates:
    right = {"fired": [2, 0, 1], "reached": [1, 0, 1], "magnitude": [4 / 3, 0, 2]}
    return UnitStates(
        samples=3, **{name: np.array(values) for name, values in (right | changes).items()}
    )


def test_states_are_compared_with_a_count_of_their_own() -> None:
    check_states("h1", states(), Z, later=LATER)
    for wrong in (
        {"fired": [2, 0, 3]},  # z = 0 taken for firing
        {"reached": [2, 0, 1]},  # the second sample comes back through a closed layer
        {"magnitude": [8 / 3, 4 / 3, 2.0]},  # the mean of |z|
        {"magnitude": [4 / 3, 0, 2.001]},
    ):
        with pytest.raises(BrokenIdentity, match="identity 10 must hold in layer h1"):
            check_states("h1", states(**wrong), Z, later=LATER)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_states_of_a_network_that_diverged_are_not_judged(value: float) -> None:
    diverged = torch.full((3, 2), value)
    check_states("h1", states(fired=[9, 9, 9]), Z, later=[diverged])
    check_states("h1", states(fired=[9, 9, 9]), torch.full((3, 3), value), later=LATER)
    check_firing("h1", states(magnitude=[value, 0.0, value], fired=[0, 0, 1]))


@pytest.mark.parametrize("magnitude", [[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]])
def test_a_unit_that_gives_something_just_where_it_fires_is_asked_for(
    magnitude: list[float],
) -> None:
    check_firing("h1", states())
    with pytest.raises(BrokenIdentity, match="identity 10 must hold in layer h1"):
        check_firing("h1", states(magnitude=magnitude))


def check_change(ratio: float, *, first: float = 5.0) -> None:
    """Weights of norm 10 changed by (3, 0) and (0, 8), biases by 4 and 6, beside one at rest."""
    check_updates(
        "h1",
        [np.inf, ratio],  # a network whose weights were 0
        sizes=torch.tensor([0.0, 10.0]),
        bias_changes=torch.tensor([[0.0, 0.0], [4.0, 6.0]]),
        unit_changes=np.array([[0.0, 0.0], [first, 10.0]]),
    )


def test_weights_and_biases_change_as_much_as_their_units() -> None:
    """By hand: 9 + 64 + 16 + 36 = 25 + 100."""
    ratio = 73**0.5 / 10
    check_change(ratio)
    check_change(np.inf)  # as where the weights were 0 or have diverged
    check_change(ratio, first=np.nan)
    for wrong, first in ((ratio / 2, 5.0), (ratio * 1.1, 5.0), (ratio, 0.0)):
        with pytest.raises(BrokenIdentity, match="of network 1"):
            check_change(wrong, first=first)


# The bounds of the binomial tails, against SciPy's own test and against fractions.


def bounds(successes: object, trials: object, rate: float) -> NDArray[np.float64]:
    return _p_value_bounds(np.asarray(successes), np.asarray(trials), np.asarray(rate))


@settings(deadline=None, max_examples=60)
@given(n=st.integers(0, 40), share=st.floats(0, 1), eighths=st.integers(0, 8))
def test_twice_the_smaller_exact_tail_is_within_its_bound(
    n: int, share: float, eighths: int
) -> None:
    k, p = round(share * n), Fraction(eighths, 8)
    weights = [comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(n + 1)]
    tails = sum(weights[: k + 1]), sum(weights[k:])
    assert float(min(Fraction(1), 2 * min(tails))) <= bounds(k, n, eighths / 8) * (1 + 1e-12)


def test_a_bound_is_the_formula_of_hoeffding() -> None:
    # 7 of 10 at 1/2: (1/2)^10 / (0.7^7 0.3^3), on either side.
    assert bounds([7, 3], 10, 0.5) == pytest.approx(2 * 0.5**10 / (0.7**7 * 0.3**3))
    assert bounds([10, 0], 10, 0.5) == pytest.approx(2 * 0.5**10)


@pytest.mark.parametrize("n", [10_000, 1_000_000_000])
def test_a_bound_is_little_above_the_far_tail(n: int) -> None:
    deviations = np.sqrt(n * 0.3 * 0.7) * np.array([-8.0, -5.0, 5.0, 8.0])
    counts = np.rint(n * 0.3 + deviations).astype(int)
    for count, bound in zip(counts, bounds(counts, n, 0.3), strict=True):
        side = "less" if count < n * 0.3 else "greater"
        exact = 2 * binomtest(int(count), n, 0.3, alternative=side).pvalue
        assert exact < bound < 25 * exact
    assert bounds(counts[[0, 3]], n, 0.3).max() < FALSE_ALARM


def test_a_right_count_is_below_a_level_no_more_often_than_the_level_says() -> None:
    n, p = 60, 0.2
    values = bounds(np.arange(n + 1), n, p)
    weights = np.array([comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(n + 1)])
    for alpha in (1e-12, 1e-6, 0.01, 0.2, 0.7):
        assert weights[values <= alpha].sum() <= alpha * (1 + 1e-9)


def test_certain_rates_allow_nothing_else() -> None:
    assert bounds([0, 1], [9, 9], 0.0).tolist() == [1.0, 0.0]
    assert bounds([9, 8], [9, 9], 1.0).tolist() == [1.0, 0.0]
    assert bounds(0, 0, 0.5) == 1.0
