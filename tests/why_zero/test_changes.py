"""Which units died between two censuses."""

import numpy as np
import pytest
import torch
from torch import nn

import why_zero
from why_zero import UnitChanges, UnitStates, WhyZeroError


def states(fired: list[int], ids: list[int] | None = None) -> UnitStates:
    return UnitStates(
        samples=9,
        fired=np.array(fired),
        reached=np.array(fired),
        magnitude=np.array(fired, float),
        unit_ids=None if ids is None else np.array(ids),
    )


def test_units_die_revive_and_stay_dead_by_the_row_of_their_weights() -> None:
    found = why_zero.changes(
        {"relu": states([0, 0, 3, 4, 0], [10, 11, 12, 13, 14]), "other": states([1, 0])},
        {"relu": states([0, 2, 0, 4, 0], [10, 11, 12, 13, 14]), "other": states([1, 9])},
    )
    assert found == {
        "relu": UnitChanges(died=(12,), revived=(11,), still_dead=(10, 14)),
        "other": UnitChanges(died=(), revived=(1,), still_dead=()),
    }


def test_a_unit_that_is_killed_between_two_censuses_has_died() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 2))
    batches = [torch.randn(50, 5)]
    before = why_zero.census(module, batches)
    with torch.no_grad():
        module[0].bias[4] = -100
    after = why_zero.census(module, batches)
    assert why_zero.changes(before, after) == {
        "1": UnitChanges(died=(4,), revived=(), still_dead=())
    }
    assert why_zero.changes(after, before)["1"].revived == (4,)


@pytest.mark.parametrize(
    ("after", "message"),
    [
        ({"relu": states([1]), "late": states([1])}, "got late in one alone"),
        ({}, "got relu in one alone"),
        ({"relu": states([1, 1])}, "got 1 and 2 in relu"),
        ({"relu": states([1], [7])}, "must have the same units"),
    ],
)
def test_censuses_of_different_networks_cannot_be_compared(
    after: dict[str, UnitStates], message: str
) -> None:
    with pytest.raises(WhyZeroError, match=message):
        why_zero.changes({"relu": states([1])}, after)
