"""Networks born dead: the bound, both simulations and a tutorial's printed numbers."""

from pathlib import Path

import pytest
import torch

from pipeline.config.recipe import Recipe
from pipeline.data import load
from pipeline.studies import uva_dead
from pipeline.studies.births import dead_at_birth, is_silent, without_biases
from pipeline.studies.lu_born_dead import bound, silent_by_depth, simulated_by_depth
from pipeline.training.batches import Batch
from pipeline.training.stack import Stack

FASHION = Path("/usr/share/datasets/fashion-mnist")


def test_the_bound_is_what_hand_arithmetic_says() -> None:
    assert bound((2,)) == pytest.approx(25)
    assert bound((3, 3)) == pytest.approx(100 * (1 - 49 / 64))


def test_the_bound_of_wide_layers_does_not_round_to_nothing() -> None:
    assert bound((256,)) == pytest.approx(100 * 2.0**-256)


@pytest.mark.parametrize("width", [2, 3])
def test_both_simulations_find_the_exact_probability_of_two_layers(width: int) -> None:
    """First-layer outputs for -1 and 1 share no unit; one is silent with probability 2^(1-N).

    If neither is, a unit of the second layer is closed for both with probability 1/4, otherwise
    1/2. 1,000 networks: five standard errors, so that fewer than one in a million tries fails.
    """
    one_silent = 2.0 ** (1 - width)
    expected = (1 - one_silent) * 4.0**-width + one_silent * 2.0**-width
    allowed = 5 * (expected * (1 - expected) / 1000) ** 0.5
    for silent in (silent_by_depth(width, 1000), simulated_by_depth(width, 1000, seed=0)):
        assert not silent[0].any()
        assert silent[1].mean() == pytest.approx(expected, abs=allowed)


def test_a_network_that_is_silent_stays_so_with_more_layers() -> None:
    silent = simulated_by_depth(2, 200, seed=1)
    assert (silent[1:] >= silent[:-1]).all()


def test_a_unit_is_dead_at_birth_if_no_sample_opens_it_and_a_network_silent_with_its_layer() -> (
    None
):
    stack = without_biases(
        Stack([Recipe(widths=(2, 2)), Recipe(widths=(2, 2))], inputs=1, classes=1)
    )
    with torch.no_grad():
        stack.weights[0][:] = torch.tensor([[[1.0, -1.0]], [[1.0, 1.0]]])
        stack.weights[1][:] = torch.tensor([[[1.0, -1.0]] * 2, [[-1.0, -1.0]] * 2])
    x = torch.tensor([[[1.0], [2.0]]])
    dead = dead_at_birth(stack, [Batch(x, torch.zeros(1, 2, dtype=torch.int64))])
    assert [layer.tolist() for layer in dead] == [
        [[False, True], [False, False]],
        [[False, True], [True, True]],
    ]
    assert is_silent(dead).tolist() == [False, True]


@pytest.mark.slow
@pytest.mark.skipif(not FASHION.is_dir(), reason="needs Debian's dataset-fashion-mnist")
def test_the_tutorial_s_own_network_has_the_dead_units_that_it_prints() -> None:
    data = load("fashion-mnist", str(FASHION))
    x = data.train_images.flatten(1) / 127.5 - 1
    for widths, printed in uva_dead.PRINTED.items():
        dead = dead_at_birth(uva_dead._same(widths, data), uva_dead._batches(x))
        # Of all 60,000 images one opens a unit that the 50,000 of its split do not.
        for layer, count in zip(dead, printed, strict=True):
            assert int(layer.sum()) == pytest.approx(count, abs=1)
