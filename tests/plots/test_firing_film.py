"""The firing rates of many epochs as pixels."""

from collections.abc import Callable

import numpy as np
import pytest

from pipeline import plots
from pipeline.records import EpochRecord

TITLE = "relu+dropout p=0.5 seed 0"


@pytest.mark.parametrize(
    ("relu", "firing"), [(True, 0.3), (True, 0.02), (True, 0.98), (False, 0.3)]
)
def test_every_picture_is_that_of_its_epoch_drawn_alone(
    random_history: Callable[..., list[EpochRecord]], relu: bool, firing: float
) -> None:
    history = random_history((12, 4), 3, relu=relu, firing=firing)
    film = plots.film_firing_rates(history, TITLE)
    assert len(film) == len(history)
    for image, record in zip(film, history, strict=True):
        alone = plots.to_image(plots.draw_firing_rates(record, TITLE))
        np.testing.assert_array_equal(image, alone)


def test_one_picture_is_not_changed_by_the_next(
    two_epochs: list[EpochRecord],
) -> None:
    first, second = plots.film_firing_rates(two_epochs, TITLE)
    alone = plots.to_image(plots.draw_firing_rates(two_epochs[0], TITLE))
    np.testing.assert_array_equal(first, alone)
    assert (first != second).any()
