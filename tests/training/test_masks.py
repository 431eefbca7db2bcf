"""Dropout masks: whose they are, and how often they drop."""

import pytest
import torch
from scipy.stats import binomtest

from pipeline.config.recipe import Recipe
from pipeline.training import masks as masks_module
from pipeline.training.masks import RandomMasks

CPU = torch.device("cpu")


def masks(recipes: list[Recipe], *, epoch: int = 1) -> RandomMasks:
    return RandomMasks(recipes, (*recipes[0].widths, 10), stream=f"epoch {epoch}", device=CPU)


def test_a_network_has_the_same_masks_alone_and_among_eleven_others() -> None:
    recipes = [
        Recipe(seed=seed, drop_rate=rate, widths=(7, 4))
        for seed in range(4)
        for rate in (0.1, 0.5, 0.9)
    ]
    together, alone = masks(recipes), masks(recipes[5:6])
    for batch in (20, 20, 13):
        for many, one in zip(together.draw(batch), alone.draw(batch), strict=True):
            assert many is not None
            assert one is not None
            assert torch.equal(many[5:6], one)


def test_arms_with_one_seed_share_the_numbers_behind_their_masks() -> None:
    low, high = Recipe(drop_rate=0.2, widths=(50,)), Recipe(drop_rate=0.5, widths=(50,))
    hidden, _ = masks([low, high, Recipe(seed=1, drop_rate=0.5, widths=(50,))]).draw(100)
    assert hidden is not None
    assert not (hidden[1] & ~hidden[0]).any()  # kept at 0.5 is kept at 0.2
    assert not torch.equal(hidden[1], hidden[2])


def test_dropping_the_logits_too_leaves_the_hidden_masks_as_they_are() -> None:
    recipe = Recipe(widths=(9, 8))
    with_logits = masks([recipe]).draw(30)
    without = masks([Recipe(widths=(9, 8), output_dropout=False)]).draw(30)
    assert without[-1] is None
    for one, other in zip(with_logits[:-1], without[:-1], strict=True):
        assert one is not None
        assert other is not None
        assert torch.equal(one, other)


def test_every_epoch_and_every_layer_has_masks_of_its_own() -> None:
    recipe = Recipe(widths=(20, 20))
    first, second = masks([recipe]).draw(50), masks([recipe], epoch=2).draw(50)
    drawn = [mask for mask in (first[0], first[1], second[0]) if mask is not None]
    assert len({mask.numpy().tobytes() for mask in drawn}) == 3


def test_without_dropout_there_is_no_mask_and_beside_dropout_all_is_kept() -> None:
    none = Recipe(drop_rate=0.0, widths=(5,))
    assert masks([none]).draw(3) == [None, None]
    hidden, _ = masks([none, Recipe(drop_rate=0.99, widths=(5,))]).draw(1000)
    assert hidden is not None
    assert hidden[0].all()


@pytest.mark.parametrize("rate", [1e-6, 0.1, 0.5, 0.75, 0.999_999])
def test_units_are_dropped_at_the_drop_rate(rate: float) -> None:
    """Binomial, n = 2,000,000, one seed; a false alarm in 1e9 runs for each rate."""
    mask, _ = masks([Recipe(drop_rate=rate, widths=(1000,), seed=3)]).draw(2000)
    assert mask is not None
    dropped = int((~mask).sum())
    assert binomtest(dropped, mask.numel(), rate).pvalue > 1e-9


def test_the_upper_half_of_the_random_words_drops_as_often_as_the_lower() -> None:
    """The trap: 63 random bits leave every second unit's sign bit 0; false alarm 1e-9 each."""
    mask, _ = masks([Recipe(drop_rate=0.5, widths=(1000,), seed=4)]).draw(1000)
    assert mask is not None
    for half in (mask[..., 0::2], mask[..., 1::2]):
        assert binomtest(int((~half).sum()), half.numel(), 0.5).pvalue > 1e-9


def test_a_mask_compares_32_bits_with_the_drop_rate_s_share_of_their_range() -> None:
    found = masks_module._thresholds([0.0, 0.5, 0.75, 1 - 1e-12], CPU)
    assert found.flatten().tolist() == [-(2**31), 0, 2**30, 2**31 - 1]
