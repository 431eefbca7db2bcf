"""States of units over a reference set, in evaluation mode."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import why_zero
from why_zero import BrokenIdentity, ZeroProbe, _census
from why_zero._watch import recorder
from why_zero._watch.layer_counts import LayerCounts
from why_zero.errors import WhyZeroError


def linear(weight: list[list[float]], bias: list[float]) -> nn.Linear:
    layer = nn.Linear(len(weight[0]), len(weight))
    layer.weight.data, layer.bias.data = torch.tensor(weight), torch.tensor(bias)
    return layer


# Two inputs of which one is 1: z1 = (1, 0), (0, 1) shifted; the last unit of h1 is dead.
X = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])


def by_hand() -> nn.Sequential:
    """h1: fires for samples 0 and 2; always; never; for 1 and 2, faintly.

    h2: one unit, which opens for sample 0 alone, so what fires only for others is starved.
    """
    return nn.Sequential(
        linear([[2.0, 0.0], [1.0, 1.0], [-1.0, -1.0], [0.0, 0.01]], [0.0, 0.0, 0.0, 0.0]),
        nn.ReLU(),
        nn.Dropout(0.5),
        linear([[1.0, -1.0, 0.0, -200.0]], [0.0]),
        nn.ReLU(),
        linear([[1.0], [-1.0]], [0.0, 0.0]),
    )


def test_states_are_those_counted_by_hand() -> None:
    states = ZeroProbe(by_hand()).census([X[:2], X[2:]])
    first, second = states["1"], states["4"]
    assert first.samples == 3
    assert first.fired.tolist() == [2, 3, 0, 2]
    assert first.dead.tolist() == [False, False, True, False]
    assert first.always_on.tolist() == [False, True, False, False]
    # z2 = 2 - 1 > 0, -1 - 2 < 0, 2 - 2 - 2 < 0: only the first sample gets a gradient.
    assert second.fired.tolist() == [1]
    assert first.reached.tolist() == [1, 1, 0, 0]
    assert first.starved.tolist() == [False, False, False, True]
    # Mean |h|: 4/3, 4/3, 0, 0.02/3; the layer's mean is 0.668, of which 0.025 is 0.0167.
    assert first.magnitude.tolist() == pytest.approx([4 / 3, 4 / 3, 0.0, 0.02 / 3])
    assert first.dormant.tolist() == [False, False, True, True]


def test_a_census_needs_no_probe() -> None:
    found = why_zero.census(by_hand(), [X[:2], X[2:]])
    expected = ZeroProbe(by_hand()).census([X])
    assert list(found) == list(expected) == ["1", "4"]
    for name, states in found.items():
        assert states.fired.tolist() == expected[name].fired.tolist()
        assert states.reached.tolist() == expected[name].reached.tolist()
    run = why_zero.census(by_hand(), [{"x": X}], run=lambda module, batch: module(batch["x"]))
    assert run["1"].fired.tolist() == [2, 3, 0, 2]


def test_a_skip_connection_saves_a_unit_from_starving() -> None:
    class Skip(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = by_hand()
            self.has_skip = False

        def forward(self, x: Tensor) -> Tensor:
            h = self.layers[:3](x)
            return self.layers[3:](h) + (h[:, 2:] if self.has_skip else 0)

    module = Skip()
    assert ZeroProbe(module).census([X])["layers.1"].starved.tolist()[3]
    module.has_skip = True
    assert not ZeroProbe(module).census([X])["layers.1"].starved.any()


def test_a_channel_is_dead_where_no_position_of_any_sample_fires() -> None:
    layer = nn.Conv2d(1, 3, 1)
    layer.weight.data = torch.tensor([1.0, -1.0, 0.0]).view(3, 1, 1, 1)
    layer.bias.data = torch.tensor([0.0, 0.0, -1.0])
    x = torch.zeros(2, 1, 2, 2)
    x[1, 0, 1, 0] = 1.0
    states = ZeroProbe(nn.Sequential(layer, nn.ReLU(), nn.Flatten())).census([x])["1"]
    assert states.samples == 8
    assert states.fired.tolist() == [1, 0, 0]
    assert states.dead.tolist() == [False, True, True]


def test_a_unit_that_dropout_hides_in_a_training_pass_is_not_dead() -> None:
    module = by_hand()
    module[2].p = 1.0
    with ZeroProbe(module) as probe:
        module(X)
        assert probe.causes()["1"].active.sum() == 0
        assert probe.census([X])["1"].dead.tolist() == [False, False, True, False]
    assert module.training


def test_layers_have_the_names_that_they_have_in_training() -> None:
    module = nn.Sequential(
        *(nn.Linear(2, 4), nn.Dropout(0.5), nn.ReLU(), nn.Linear(4, 4), nn.GELU()),
        *(nn.Linear(4, 4), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4, 2)),
    )
    with ZeroProbe(module) as probe:
        module(X)
    assert list(probe.layers) == ["2", "4", "6"]
    # The dropout in front of a ReLU is no layer of its own in evaluation mode.
    assert list(probe.census([X])) == ["2", "4", "6"]


def test_in_place_calls_and_frozen_weights_are_counted_like_any_other() -> None:
    plain = by_hand()
    frozen = by_hand().requires_grad_(False)
    frozen[1] = nn.ReLU(inplace=True)
    for expected, found in zip(
        ZeroProbe(plain).census([X]).values(), ZeroProbe(frozen).census([X]).values(), strict=True
    ):
        assert found.fired.tolist() == expected.fired.tolist()
        assert found.reached.tolist() == expected.reached.tolist()
    assert not any(parameter.requires_grad for parameter in frozen.parameters())


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_a_census_can_be_taken_where_gradients_are_off(context: type[torch.no_grad]) -> None:
    probe = ZeroProbe(by_hand())
    with context():
        states = probe.census([X.clone()])
    assert states["1"].reached.tolist() == [1, 1, 0, 0]


def test_batches_may_be_pairs_or_anything_that_run_understands() -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = by_hand()

        def forward(self, *, image: Tensor) -> dict[str, Tensor]:
            return {"logits": self.layers(image), "count": torch.tensor(3)}

    pair = ZeroProbe(by_hand()).census([(X, torch.zeros(3)), [X]])["1"]
    assert pair.fired.tolist() == [4, 6, 0, 4]
    named = ZeroProbe(Named()).census([{"image": X}], run=lambda module, batch: module(**batch))
    assert named["layers.1"].fired.tolist() == [2, 3, 0, 2]


def test_a_census_in_the_block_is_no_pass_of_the_module() -> None:
    module = by_hand()
    with ZeroProbe(module) as probe, ZeroProbe(module) as other:
        module(X)
        probe.census([X])
    assert probe.layers["1"].passes == 1
    assert probe.evaluation_layers == {}
    assert other.evaluation_layers["1"].passes == 1  # to anybody else it is one


def test_dropout_that_ignores_evaluation_mode_is_pointed_out() -> None:
    class Always(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.dropout(F.relu(x), 0.5)  # the default of F.dropout is training=True

    with pytest.raises(WhyZeroError, match=r"drop rate 0\.5 in Always.dropout|in dropout: give"):
        ZeroProbe(Always()).census([X])


def test_what_a_census_cannot_count_is_said_in_words() -> None:
    with pytest.raises(WhyZeroError, match="must see batches and layers with an activation"):
        ZeroProbe(by_hand()).census([])
    with pytest.raises(WhyZeroError, match="must see batches and layers with an activation"):
        ZeroProbe(nn.Linear(2, 2)).census([X])
    with pytest.raises(WhyZeroError, match="a tuple that begins with one, got dict"):
        ZeroProbe(by_hand()).census([{"image": X}])
    with pytest.raises(WhyZeroError, match="an output that can be differentiated"):
        ZeroProbe(by_hand()).census([X], run=lambda module, x: module(x).argmax(1))
    with pytest.raises(WhyZeroError, match="must see finite values"):
        ZeroProbe(by_hand()).census([X / 0])


def test_death_judged_on_one_batch_of_several_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong instrument: only the last batch is remembered, the gradients of all are."""

    class Forgets(_census._Sum):
        def add(self, hidden: object, gradient: Tensor | None) -> None:
            self.fired[:] = 0
            super().add(hidden, gradient)

    ZeroProbe(by_hand()).census([X[:1], X[1:2]])
    monkeypatch.setattr(_census, "_Sum", Forgets)
    with pytest.raises(BrokenIdentity, match=r"identity 8 must hold in layer 1 .* for unit 0"):
        ZeroProbe(by_hand()).census([X[:1], X[1:2]])


def test_states_judged_with_dropout_on_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong instrument: h after dropout instead of h."""
    right = recorder.Recorder._hide

    def hide(self: recorder.Recorder, layer: LayerCounts, h: Tensor) -> None:
        right(self, layer, h)
        first = self.hidden[-1]
        self.hidden[-1] = replace(first, is_open=torch.zeros_like(first.is_open))

    monkeypatch.setattr(recorder.Recorder, "_hide", hide)
    with pytest.raises(BrokenIdentity, match="identity 8"):
        ZeroProbe(by_hand()).census([X])


def test_no_sample_is_no_census() -> None:
    with pytest.raises(WhyZeroError, match="must see samples, got none"):
        ZeroProbe(by_hand()).census([X[:0]])


def test_units_without_a_relu_fire_where_they_are_not_near_zero() -> None:
    part = linear([[1.0], [-1.0], [0.0]], [0.0, -9.0, 0.0])
    for activation in (nn.GELU(), nn.SiLU(), nn.Hardswish()):
        states = why_zero.census(nn.Sequential(part, activation), [torch.tensor([[1.0], [2.0]])])
        found = states["1"]
        assert found.fired.tolist() == [2, 0, 0]
        assert (found.near_zero, found.activation) == (1e-3, type(activation).__name__.lower())
        assert found.dormant_at(0.0).tolist()[2]
    # silu(-10) is -0.00045.
    x = torch.tensor([[1.0]])
    states = why_zero.census(nn.Sequential(part, nn.SiLU()), [x], near_zero=1e-4)
    assert states["1"].fired.tolist() == [1, 1, 0]


def test_states_name_the_weights_that_their_units_come_from() -> None:
    module = by_hand()
    states = ZeroProbe(module).census([X])
    assert {name: found.source for name, found in states.items()} == {"1": "0", "4": "3"}
    halves = Chunks()
    assert why_zero.census(halves, [X])["relu"].unit_ids.tolist() == [2, 3]


class Chunks(nn.Module):
    """A ReLU of the second half of a layer's units."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(2, 4)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.first(x).chunk(2, -1)[1])


class Attention(nn.Module):
    """Two heads of three, by the fused kernel or written out."""

    def __init__(self, *, is_fused: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.q, self.k, self.v, self.o = (nn.Linear(6, 6) for _ in range(4))
        self.is_fused = is_fused

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (p(x).view(2, 5, 2, 3).transpose(1, 2) for p in (self.q, self.k, self.v))
        if self.is_fused:
            y = F.scaled_dot_product_attention(q, k, v)
        else:
            y = F.dropout((q @ k.mT).softmax(-1), training=self.training) @ v
        return self.o(y.transpose(1, 2).reshape(2, 5, 6))


@pytest.mark.parametrize("is_fused", [False, True])
def test_an_attention_head_that_writes_nothing_is_found(*, is_fused: bool) -> None:
    module = Attention(is_fused=is_fused)
    with torch.no_grad():
        module.v.weight[3:] = 0
        module.v.bias[3:] = 0
    states = why_zero.census(module, [torch.randn(2, 5, 6)])["attention"]
    assert states.dead.tolist() == [False, True]
    assert states.samples == 2 * 5 * 3
    assert why_zero.dead_units({"attention": states}) == {}


class TwoWays(nn.Module):
    """What goes into the ReLU also goes around it, and its weights are used again."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Linear(8, 8), nn.Linear(8, 8)
        self.first.bias.data[:2] = -100.0

    def forward(self, x: Tensor) -> Tensor:
        z = self.first(x)
        return z + self.second(torch.relu(z)) + self.first.weight.sum()


def test_a_dead_unit_whose_weights_learn_by_another_way_is_dead_all_the_same() -> None:
    x = torch.randn(20, 8, generator=torch.Generator().manual_seed(0))
    states = why_zero.census(TwoWays(), x)["relu"]  # a tensor by itself is one batch
    assert states.dead.nonzero()[0].tolist() == [0, 1]
    assert states.samples == 20
