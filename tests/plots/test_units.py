"""The map of units by epochs."""

from collections.abc import Callable, Mapping

from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from pipeline import plots
from pipeline.plots import style
from pipeline.records import EpochRecord, LayerRecord
from why_zero.records import UnitStates, ZeroCauses

TITLE = "relu+dropout p=0.5 seed 0"


def test_the_map_of_units_puts_the_dead_below_and_above_them_those_that_were(
    layer: Callable[..., LayerRecord],
    epoch: Callable[..., EpochRecord],
    heads: Callable[[Figure], list[str]],
) -> None:
    fired = [(4, 0, 7, 0, 10), (3, 1, 0, 0, 10), (2, 0, 6, 0, 1)]
    history = [epoch(i, layer("h1", (1, 0, 0, 0), row)) for i, row in enumerate(fired)]
    figure = plots.draw_units(history, TITLE)
    cells = figure.axes[0].images[0].get_array()
    rates = [(0.0, 0.0, 0.0), (0.0, 0.1, 0.0), (0.7, 0.0, 0.6), (1.0, 1.0, 0.1), (0.4, 0.3, 0.2)]
    assert cells.filled(0).tolist() == [list(row) for row in rates]
    assert cells.mask.tolist() == [[rate == 0 for rate in row] for row in rates]
    assert heads(figure)[0] == "h1: 2 of 5 dead\n2 born dead"
    assert figure.axes[0].images[0].get_extent() == [-0.5, 2.5, 0, 5]
    pixel = figure.axes[0].images[0].to_rgba(cells)[0, 0]
    assert to_hex(pixel).upper() == style.DEAD


def test_a_unit_that_fires_for_one_image_in_many_is_not_shown_dead(
    causes: Callable[..., ZeroCauses],
    states: Callable[..., UnitStates],
    epoch: Callable[..., EpochRecord],
    heads: Callable[[Figure], list[str]],
) -> None:
    counts = causes(1, 0, 0, 0)
    rare = LayerRecord(name="h1", causes=counts, states=states((1, 0), samples=1_000_000))
    figure = plots.draw_units([epoch(0, rare)], TITLE)
    assert figure.axes[0].images[0].get_array().mask.tolist() == [[True], [False]]
    assert heads(figure)[0] == "h1: 1 of 2 dead\n1 born dead"


def test_the_heading_says_where_the_dead_are_and_what_became_of_the_born_dead(
    layer: Callable[..., LayerRecord],
    epoch: Callable[..., EpochRecord],
    finding: Callable[[Figure], str],
) -> None:
    history = [
        epoch(0, layer("h1", (1, 0, 0, 0), (4, 5)), layer("h2", (1, 0, 0, 0), (0, 0, 3))),
        epoch(1, layer("h1", (1, 0, 0, 0), (0, 0)), layer("h2", (1, 0, 0, 0), (1, 2, 3))),
    ]
    assert finding(plots.draw_units(history, TITLE)) == (
        "2 of 5 units are dead after epoch 1, both in h1; both born dead fire now"
    )


def test_without_a_dead_unit_the_key_names_none(
    histories: Mapping[str, list[EpochRecord]], finding: Callable[[Figure], str]
) -> None:
    figure = plots.draw_units(histories["all always on"], TITLE)
    assert figure.legends == []
    assert "No unit is dead" in finding(figure)
    assert plots.draw_units(histories["all dead"], TITLE).legends != []
    assert "No ReLU" in finding(plots.draw_units(histories["no ReLU"], TITLE))
