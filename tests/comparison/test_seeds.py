"""Which groups are judged together, and by which seeds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.comparison.seeds import common_seeds

FIVE = range(5)


@pytest.mark.parametrize(
    ("seeds", "expected"),
    [
        ([FIVE, FIVE], ([0, 1], [0, 1, 2, 3, 4])),
        ([FIVE, (1, 3), FIVE], ([0, 1, 2], [1, 3])),
        # One seed in common would do, but of two others all five are.
        ([FIVE, (0,), FIVE], ([0, 2], [0, 1, 2, 3, 4])),
        ([FIVE, FIVE, (7,)], ([0, 1], [0, 1, 2, 3, 4])),
        ([(0, 1), (7, 8, 9), (0, 1), (7, 8, 9), (7, 8, 9)], ([1, 3, 4], [7, 8, 9])),
        ([(0,), (0, 1)], ([0, 1], [0])),
        ([(0,), (1,)], ([], [])),
        ([(0,), (1,), (1,)], ([1, 2], [1])),
        ([(3, 4)], ([0], [3, 4])),
        ([(3,)], ([0], [3])),
    ],
)
def test_groups_are_judged_by_seeds_that_all_of_them_have(
    seeds: list[tuple[int, ...]], expected: tuple[list[int], list[int]]
) -> None:
    assert common_seeds(seeds) == expected


@given(st.lists(st.sets(st.integers(0, 5), min_size=1), min_size=1, max_size=6))
def test_whoever_is_judged_has_every_seed_and_no_seed_that_all_have_is_left_out(
    seeds: list[set[int]],
) -> None:
    places, shared = common_seeds([sorted(group) for group in seeds])
    judged = [seeds[place] for place in places]
    assert shared == (sorted(set.intersection(*judged)) if judged else [])
    assert len(places) != 1 or len(seeds) == 1
    if not places:
        assert all(not (one & other) for one in seeds for other in seeds if one is not other)
