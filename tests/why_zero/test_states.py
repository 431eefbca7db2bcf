"""What units do over a reference set, counted by hand."""

import torch
from torch import Tensor

from why_zero.states import StateCount


def hidden(*layers: list[list[float]]) -> list[tuple[Tensor, Tensor]]:
    """(z, relu(z)) of each layer of one network."""
    return [(z, z.relu()) for z in (torch.tensor([layer]) for layer in layers)]


def test_a_unit_is_reached_where_it_fires_and_every_later_layer_has_an_active_unit() -> None:
    """Of the second network's two samples one is closed behind its only unit of h1."""
    count = StateCount(2, (1, 2), torch.device("cpu"))
    count.add(hidden([[1.0], [-1.0]], [[1.0, -1.0], [1.0, 1.0]]), slice(0, 1))
    count.add(hidden([[2.0]], [[-1.0, 0.0]]), slice(0, 1))
    count.add(hidden([[4.0], [2.0]], [[-1.0, -1.0], [8.0, -1.0]]), slice(1, 2))
    expected = {
        (0, 0): (3, [2], [1], [1.0]),
        (1, 0): (3, [2, 1], [2, 1], [2 / 3, 1 / 3]),
        (0, 1): (2, [2], [1], [3.0]),
        (1, 1): (2, [1, 0], [1, 0], [4.0, 0.0]),
    }
    for (layer, member), (samples, fired, reached, magnitude) in expected.items():
        found = count.states(layer, member)
        assert (found.samples, found.fired.tolist(), found.reached.tolist()) == (
            samples,
            fired,
            reached,
        )
        assert found.magnitude.astype("float32").tolist() == [*map(_rounded, magnitude)]


def test_a_unit_is_reached_only_where_no_layer_behind_it_is_closed_however_far_away() -> None:
    # All fire, but h3 for the first sample alone.
    count = StateCount(1, (1, 1, 1), torch.device("cpu"))
    count.add(hidden([[2.0], [2.0]], [[2.0], [2.0]], [[2.0], [-1.0]]))
    found = [count.states(layer, 0) for layer in range(3)]
    assert [states.fired.tolist() for states in found] == [[2], [2], [1]]
    assert [states.reached.tolist() for states in found] == [[1], [1], [1]]


def test_a_pass_without_hidden_layers_is_nothing_to_count() -> None:
    count = StateCount(1, (2,), torch.device("cpu"))
    count.add([])
    count.add(hidden([[1.0, -1.0]]))
    assert count.states(0, 0).samples == 1


def _rounded(value: float) -> float:
    return torch.tensor(value).item()
