"""The panels of a comparison: means with intervals, rows, zeros against the drop rate."""

import math
import re
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from matplotlib.figure import Figure

from pipeline import plots

RATES = plots.Scale("drop rate p", {0.0: "0", 0.2: "0.2", 0.5: "0.5"})
PLACES = np.array([0.0, 0.2, 0.5])


def curve(label: str = "", half_widths: tuple[float, ...] = (0.01, 0.02, 0.03)) -> plots.Curve:
    return plots.Curve(
        label=label,
        positions=PLACES,
        means=np.array([0.9, 0.95, 0.8]),
        half_widths=np.array(half_widths),
        singles=[np.array([mean - 0.01, mean + 0.01]) for mean in (0.9, 0.95, 0.8)],
    )


def test_means_stand_at_their_drop_rates_with_their_intervals() -> None:
    [axes] = plots.draw_means([curve()], RATES, title="accuracy").axes
    mean = axes.lines[0]
    assert mean.get_xydata().tolist() == [[0, 0.9], [0.2, 0.95], [0.5, 0.8]]
    ends = [segment[:, 1].tolist() for segment in axes.collections[0].get_segments()]
    assert ends == [
        [pytest.approx(0.89), pytest.approx(0.91)],
        [pytest.approx(0.93), pytest.approx(0.97)],
        [pytest.approx(0.77), pytest.approx(0.83)],
    ]
    rings = [line for line in axes.lines if line.get_markerfacecolor() == "none"]
    assert list(rings[0].get_ydata()) == pytest.approx([0.89, 0.91])
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0", "0.2", "0.5"]


def test_no_interval_is_drawn_where_there_is_none_nor_beyond_a_share() -> None:
    one = curve(half_widths=(math.nan, 0.2, 0.0))
    [axes] = plots.draw_means([one], RATES, title="accuracy").axes
    none, beyond, _ = axes.collections[0].get_segments()
    assert len(none) == 0
    assert beyond[:, 1].tolist() == [pytest.approx(0.75), 1.0]


def test_several_curves_have_a_key_and_stand_side_by_side(
    words: Callable[[Figure], str], is_cut: Callable[[Figure], bool]
) -> None:
    curves = [curve(f"learning rate 0.00{index}") for index in range(1, 7)]
    figure = plots.draw_means(curves, RATES, title="accuracy")
    assert not is_cut(figure)
    assert words(figure).count("learning rate") == 6
    middles = [collection.get_segments()[1][0, 0] for collection in figure.axes[0].collections]
    assert len(set(middles)) == 6
    assert all(abs(middle - 0.2) < 0.02 for middle in middles)


def test_a_line_joins_means_of_several_seeds_and_no_single_networks() -> None:
    single = replace(curve(half_widths=(math.nan,) * 3), singles=[np.array([0.9])] * 3)
    for one, joins in ((curve(), True), (single, False)):
        [axes] = plots.draw_means([one], RATES, title="accuracy").axes
        assert (axes.lines[0].get_linestyle() == "-") == joins


def test_ticks_that_would_touch_are_left_out() -> None:
    ticks = {index / 100: f"{index / 100:g}" for index in range(31)}
    one = plots.Curve("", np.array(list(ticks)), np.full(31, 0.5), np.full(31, math.nan))
    figure = plots.draw_means([one], plots.Scale("drop rate p", ticks), title="accuracy")
    plots.to_png(figure)
    boxes = [label.get_window_extent() for label in figure.axes[0].get_xticklabels()]
    assert all(not one.overlaps(other) for one, other in combinations(boxes, 2))
    assert len(boxes) > 4


@pytest.mark.parametrize("letters", [5, 40, 90])
def test_rows_are_labelled_beside_or_above_and_filled_where_told(
    letters: int, is_cut: Callable[[Figure], bool], words: Callable[[Figure], str]
) -> None:
    labels = [f"{index}$" + "x" * (letters - 2) for index in range(3)]
    means, widths = np.array([0.01, -0.02, 0.0]), np.array([0.005, math.nan, 0.01])
    figure = plots.draw_rows(
        labels, means, widths, axis="points", is_filled=[True, False, False], origin=0.0
    )
    assert not is_cut(figure)
    assert all(label[: min(letters, 55)] in words(figure) for label in labels)
    [axes] = figure.axes
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    assert [dot.get_xdata()[0] for dot in dots] == [1, -2, 0]
    assert [dot.get_markerfacecolor() == "white" for dot in dots] == [False, True, True]
    whole, other = (list(line.get_xdata()) for line in axes.lines if line.get_marker() != "o")
    assert whole == pytest.approx([0.5, 1.5])
    assert other == pytest.approx([-1, 1])


def test_zeros_stand_at_their_drop_rates_beside_what_is_expected() -> None:
    shares = np.array([[0.5, 0, 0, 0.5], [0.4, 0.1, 0.1, 0.4], [0.25, 0.25, 0.25, 0.25]])
    order = list(plots.CAUSE_LOOKS)
    zeros = plots.Zeros(
        shares=shares,
        measured=(np.array([0.5, 0.6, 0.75]), np.array([0.01, math.nan, 0.02])),
        expected=np.array([0.5, 0.61, 0.74]),
    )
    figure = plots.draw_zero_rates(PLACES, zeros, RATES, title="h1")
    [axes] = figure.axes
    for index, bars in enumerate(axes.containers[:4]):
        middles = [bar.get_x() + bar.get_width() / 2 for bar in bars]
        assert middles == pytest.approx(PLACES)
        assert [bar.get_height() for bar in bars] == pytest.approx(shares[:, index]), order[index]
    assert axes.lines[1].get_xydata().tolist() == [[0, 0.5], [0.2, 0.61], [0.5, 0.74]]


def test_a_line_joins_drop_rates_and_no_names() -> None:
    names = plots.Scale("group", {0.0: "1", 1.0: "2", 2.0: "3"}, is_numeric=False)
    one = plots.Curve("", np.arange(3.0), np.full(3, 0.5), np.full(3, 0.1))
    for scale, joins in ((RATES, True), (names, False)):
        figure = plots.draw_shares({"dead": one}, plots.STATES, scale, title="h1", top=1.0)
        assert (figure.axes[0].lines[0].get_linestyle() == "-") == joins


def test_an_svg_has_ids_of_its_own_and_takes_its_size_from_the_page() -> None:
    figure = plots.draw_means([curve()], RATES, title="accuracy")
    text = plots.to_svg(figure, "f7")
    assert text.startswith("<svg ")
    assert re.search(r"<svg [^>]*viewBox", text)
    assert not re.search(r"<svg [^>]*(width|height)=", text)
    ids = re.findall(r'\bid="([^"]*)"', text)
    assert all(name.startswith("f7-") for name in ids)
    used = re.findall(r'href="#([^"]*)"|url\(#([^)]*)\)', text)
    assert {one or other for one, other in used} <= set(ids)
    assert "fill: #ffffff" not in text.split("axes_1")[0]


@pytest.mark.parametrize("layers", [0, 1, 5, 11])
@pytest.mark.parametrize("curves", [1, 3])
def test_the_figure_of_a_sweep_fits_its_sheet_and_names_its_axes_once(
    layers: int,
    curves: int,
    is_cut: Callable[[Figure], bool],
    words: Callable[[Figure], str],
) -> None:
    none = np.zeros(3)
    zeros = plots.Zeros(
        shares=np.array([[0.5, 0, 0, 0.5]] * 3), measured=(none + 0.5, none), expected=none + 0.5
    )
    figure = plots.draw_sweep(
        [curve(f"learning rate 0.00{index}") for index in range(1, curves + 1)],
        {f"h{index + 1}": zeros for index in range(layers)},
        RATES,
        finding="Drop rate 0.2 is ahead",
        caption="three networks",
        measure="accuracy (%)",
    )
    assert not is_cut(figure)
    assert len(figure.axes) == 1 + layers
    said = words(figure)
    assert said.count("drop rate p") == 1 + (layers > 0)
    assert said.count("learning rate") == (curves if curves > 1 else 0)
    assert ("zero by ReLU alone" in said) == (layers > 0)
    assert "zero by dropout alone" not in said
    key = max((key.get_window_extent().x1 for key in figure.legends), default=0)
    assert key <= figure.bbox.x1
