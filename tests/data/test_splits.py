"""Which images are held out."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.data import split
from pipeline.data.splits import SPLIT_SEED
from pipeline.errors import UsageError


@given(count=st.integers(1, 300), data=st.data())
def test_training_and_validation_partition_the_images(count: int, data: st.DataObject) -> None:
    holdout = data.draw(st.integers(0, count - 1))
    train, validation = split(count, holdout)
    assert train.dtype == validation.dtype == torch.int64
    assert len(validation) == holdout
    assert sorted(train.tolist() + validation.tolist()) == list(range(count))


@given(count=st.integers(1, 300), data=st.data())
def test_both_parts_are_in_ascending_order(count: int, data: st.DataObject) -> None:
    for part in split(count, data.draw(st.integers(0, count - 1))):
        assert part.tolist() == sorted(part.tolist())


def test_a_larger_hold_out_contains_a_smaller_one() -> None:
    _, few = split(60_000, 1000)
    _, many = split(60_000, 5000)
    assert set(few.tolist()) < set(many.tolist())


def test_the_held_out_images_do_not_depend_on_the_version_of_torch() -> None:
    # The permutation by hand: Fisher-Yates on numpy's Mersenne Twister with the same seed.
    twister = np.random.RandomState(SPLIT_SEED)._bit_generator
    order = list(range(60_000))
    for i in range(len(order) - 1):
        j = i + int(twister.random_raw()) % (len(order) - i)
        order[i], order[j] = order[j], order[i]
    _, validation = split(60_000, 5000)
    assert validation.tolist() == sorted(order[:5000])


def test_splitting_leaves_the_global_generator_where_it_was() -> None:
    before = torch.get_rng_state()
    split(100, 10)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("holdout", [-1, 100, 101])
def test_a_hold_out_that_leaves_nothing_to_train_on_is_refused(holdout: int) -> None:
    with pytest.raises(UsageError, match=rf"holdout must be in \[0, 100\).*got {holdout}:"):
        split(100, holdout)
