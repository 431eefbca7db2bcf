"""What a probe found as plain numbers, and epoch by epoch."""

import json
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from why_zero import Findings, WatchedLayer, WhyZeroError, ZeroProbe

SHARES = ("zero", "dropped", "inactive", "both", "unexplained", "silent")
COUNTS = ("active", "dropped", "inactive", "both", "unexplained")


class Chosen(nn.Module):
    """A ReLU that each path through the network calls, and dropout behind it."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.first, self.second, self.last = nn.Linear(4, 6), nn.Linear(6, 6), nn.Linear(6, 2)
        self.relu, self.dropout = nn.ReLU(), nn.Dropout(0.5)

    def forward(self, x: Tensor, *, is_deep: bool = True) -> Tensor:
        x = self.relu(self.first(x))
        x = self.dropout(self.relu(self.second(x))) if is_deep else x
        return self.last(x)


class ByHand(nn.Module):
    """Four units whose values are those given: one is always closed."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 4, bias=False), nn.Linear(4, 1)
        with torch.no_grad():
            self.first.weight.copy_(torch.eye(4))

    def forward(self, x: Tensor) -> Tensor:
        return self.last(F.relu(self.first(x)))


# Open: 3, 1, 0 and 2 of 4 samples; 6 of 16 pairs.
VALUES = torch.tensor(
    [[1.0, 1, -1, 1], [1, -1, -1, 1], [1, -1, -1, -1], [-1, -1, -1, -1]], dtype=torch.float32
)


@pytest.fixture
def probe() -> ZeroProbe:
    """After three training passes and an evaluation pass with dropout."""
    module = Chosen()
    x = torch.randn(10, 4, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(0)
    with ZeroProbe(module) as probe:
        for _ in range(3):
            module(x)
        module.eval()
        module(x)
    return probe


def counts(layer: WatchedLayer) -> list[list[int]]:
    return [getattr(layer.causes, name).tolist() for name in COUNTS]


def test_scalars_are_shares_by_layer_that_a_hand_counts() -> None:
    module = ByHand()
    with ZeroProbe(module) as probe:
        module(VALUES)
        module.eval()
        module(VALUES[:1])
    assert probe.scalars("x/") == {
        "x/zero/relu": 10 / 16,
        "x/dropped/relu": 0.0,
        "x/inactive/relu": 10 / 16,
        "x/both/relu": 0.0,
        "x/unexplained/relu": 0.0,
        "x/silent/relu": 1 / 4,
        "x/evaluation/zero/relu": 1 / 4,
        "x/evaluation/silent/relu": 1 / 4,
    }


def test_the_names_of_scalars_are_those_that_trackers_take(probe: ZeroProbe) -> None:
    layers = ("relu", "relu-2")
    assert list(probe.layers) == ["relu", "relu#2"]
    assert set(probe.scalars()) == {
        *(f"why_zero/{share}/{layer}" for share in SHARES for layer in layers),
        *(f"why_zero/evaluation/{s}/{layer}" for s in ("zero", "silent") for layer in layers),
    }


def test_mlflow_takes_the_names_of_scalars(probe: ZeroProbe) -> None:
    validation = pytest.importorskip("mlflow.utils.validation", reason="needs MLflow")
    for name, value in probe.scalars().items():
        validation._validate_metric(name, value, timestamp=0, step=0)


def test_layers_whose_names_become_the_same_keep_scalars_of_their_own(probe: ZeroProbe) -> None:
    (one, other) = probe.layers.values()
    found = Findings(
        layers={"a#b": one, "a-b": other, "ä": one},
        evaluation_layers={},
        unexplained=(),
        evaluation_unexplained=(),
        notes={},
        set_aside=0,
    )
    zeros = {name: value for name, value in found.scalars("").items() if name.startswith("zero/")}
    assert zeros == {
        "zero/a-b": one.causes.zero_share,
        "zero/a-b-": other.causes.zero_share,
        "zero/-": one.causes.zero_share,
    }


@pytest.mark.parametrize("batch", [None, 0])
def test_there_are_no_scalars_where_nothing_was_seen(batch: int | None) -> None:
    module = ByHand()
    with ZeroProbe(module) as probe:
        if batch is not None:
            module(torch.zeros(batch, 4))
    assert probe.scalars() == {}
    assert json.dumps(probe.to_dict(), allow_nan=False)


def test_everything_can_be_written_as_json(probe: ZeroProbe) -> None:
    found = json.loads(json.dumps(probe.to_dict(), allow_nan=False))
    assert found == probe.to_dict()
    layer, expected = found["layers"]["relu#2"], probe.layers["relu#2"]
    assert layer["source"] == "second"
    assert (layer["activation"], layer["has_hard_zeros"], layer["drop_rate"]) == ("relu", True, 0.5)
    assert (layer["unit_axes"], layer["units"], layer["passes"]) == ([1], 6, 3)
    assert layer["counts"] == {
        name: sum(row) for name, row in zip(COUNTS, counts(expected), strict=True)
    }
    assert layer["shares"]["dropped"] == layer["counts"]["dropped"] / (3 * 10 * 6)
    assert found["evaluation_layers"]["relu"]["passes"] == 1
    assert set(found) == set(Findings.__dataclass_fields__)


def test_json_names_the_silent_units_and_what_is_unexplained() -> None:
    module = ByHand()
    with ZeroProbe(module) as probe:
        module(VALUES)
    assert probe.to_dict()["layers"]["relu"]["silent"] == [2]

    class Masked(ByHand):
        def forward(self, x: Tensor) -> Tensor:
            return self.last(self.first(x) * (x > 0))

    module = Masked()
    with ZeroProbe(module) as probe:
        module(VALUES)
    (left,) = probe.to_dict()["unexplained"]
    assert (left["seen_at"], left["zeros"], left["values"]) == ("last", 10, 16)
    assert probe.to_dict()["notes"]


def test_a_data_frame_has_a_row_for_each_layer(probe: ZeroProbe) -> None:
    pytest.importorskip("pandas", reason="needs pandas: pip install pandas")
    frame = probe.to_pandas()
    assert list(zip(frame["mode"], frame["layer"], frame["passes"], strict=True)) == [
        ("training", "relu", 3),
        ("training", "relu#2", 3),
        ("evaluation", "relu", 1),
        ("evaluation", "relu#2", 1),
    ]
    assert frame["zero"].tolist() == [
        layer.causes.zero_share
        for layers in (probe.layers, probe.evaluation_layers)
        for layer in layers.values()
    ]
    total = frame[["active", "dropped", "inactive", "both", "unexplained"]].sum(axis=1)
    assert np.allclose(total, 1)
    assert "silent" in ZeroProbe(ByHand()).to_pandas().columns


def test_a_data_frame_without_pandas_is_an_error_that_says_so(
    probe: ZeroProbe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(WhyZeroError, match="pip install pandas"):
        probe.to_pandas()


def test_epochs_are_counted_by_themselves_and_add_up_to_the_block() -> None:
    module = Chosen()
    batches = torch.randn(5, 10, 4, generator=torch.Generator().manual_seed(1))
    epochs = []
    for part in (batches[:2], batches[2:]):
        torch.manual_seed(len(part))
        with ZeroProbe(module) as alone:
            for x in part:
                module(x)
        epochs.append(alone.layers)
    with ZeroProbe(module) as probe:
        for part in (batches[:2], batches[2:]):
            torch.manual_seed(len(part))
            for x in part:
                module(x)
            closed = probe.next_epoch()
    assert [list(epoch.layers) for epoch in probe.history] == [["relu", "relu#2"]] * 2
    for epoch, layers in zip(probe.history, epochs, strict=True):
        for name, layer in layers.items():
            assert counts(epoch.layers[name]) == counts(layer)
            assert epoch.layers[name].passes == layer.passes
    assert closed.to_dict() == probe.history[-1].to_dict()
    for name, layer in probe.layers.items():
        sums = sum(np.array(counts(layers[name])) for layers in epochs)
        assert counts(layer) == sums.tolist()


def test_a_layer_that_comes_later_renames_the_others_in_epochs_before_as_well() -> None:
    class Late(Chosen):
        def forward(self, x: Tensor, *, is_deep: bool = True) -> Tensor:
            x = self.relu(self.first(x)) if is_deep else self.first(x)
            return self.last(self.relu(self.second(x)))

    module, x = Late(), torch.ones(10, 4)
    with ZeroProbe(module) as probe:
        module(x, is_deep=False)
        assert list(probe.next_epoch().layers) == ["relu"]
        module(x)
        module(x)
        assert sorted(probe.next_epoch().layers) == ["relu", "relu#2"]
        module(x, is_deep=False)
        probe.next_epoch()
    found = [
        {name: (layer.source, layer.passes) for name, layer in epoch.layers.items()}
        for epoch in probe.history
    ]
    late = {"relu#2": ("second", 1)}
    assert found == [late, {"relu": ("first", 2), "relu#2": ("second", 2)}, late]


def test_an_epoch_without_a_pass_is_empty_and_not_an_error() -> None:
    with ZeroProbe(ByHand()) as probe:
        assert probe.next_epoch().scalars() == {}
    assert [dict(epoch.layers) for epoch in probe.history] == [{}]


def test_an_epoch_that_is_not_kept_is_closed_and_not_held_on_to() -> None:
    module = ByHand()
    with ZeroProbe(module) as probe:
        module(VALUES)
        assert probe.next_epoch(keep=False).layers["relu"].causes.pairs == 16
        module(VALUES[:1])
        assert probe.next_epoch().layers["relu"].causes.pairs == 4
    assert [epoch.layers["relu"].causes.pairs for epoch in probe.history] == [4]


def test_a_layer_whose_units_change_in_number_is_one_unit_in_its_epochs() -> None:
    module = nn.Sequential(nn.ReLU())
    with ZeroProbe(module) as probe:
        module(torch.ones(2, 3))
        probe.next_epoch()
        module(-torch.ones(2, 5))
        probe.next_epoch()
    first, second = (epoch.layers["0"].causes for epoch in probe.history)
    assert (first.active.tolist(), first.inactive.tolist()) == ([2, 2, 2], [0, 0, 0])
    assert (second.active.tolist(), second.inactive.tolist()) == ([0], [10])


def test_unexplained_zeros_belong_to_their_epoch() -> None:
    class Masked(ByHand):
        def forward(self, x: Tensor) -> Tensor:
            return self.last(self.first(x) * (x > 0))

    module = Masked()
    with ZeroProbe(module) as probe:
        module(VALUES)
        module(VALUES)
        probe.next_epoch()
        module(VALUES[:1])
        probe.next_epoch()
        module(VALUES.abs())
        probe.next_epoch()
    assert [
        [(left.zeros, left.values, left.passes) for left in epoch.unexplained]
        for epoch in probe.history
    ] == [[(20, 32, 2)], [(1, 4, 1)], []]


def test_passes_that_are_set_aside_belong_to_their_epoch() -> None:
    module = ByHand()
    with ZeroProbe(module) as probe:
        for values in (VALUES, VALUES * torch.nan, VALUES):
            module(values)
            probe.next_epoch()
    assert [epoch.set_aside for epoch in probe.history] == [0, 1, 0]
    assert [len(epoch.layers) for epoch in probe.history] == [1, 0, 1]
