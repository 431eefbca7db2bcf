"""The figure of which class was taken for which."""

from collections.abc import Callable

import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pipeline import plots

TITLE = "relu+dropout p=0.5 seed 0"


def test_confusion_colours_mistakes_by_their_share_of_the_row_and_leaves_hits_out(
    words: Callable[[Figure], str],
    finding: Callable[[Figure], str],
    is_cut: Callable[[Figure], bool],
) -> None:
    matrix = np.array([[6, 2, 0], [0, 5, 0], [1, 0, 3]])
    figure = plots.draw_confusion(matrix, ("a", "b", "$c$"), title=TITLE)
    cells = figure.axes[0].images[0].get_array()
    assert cells.filled(-1).tolist() == [[-1, 0.25, 0], [0, -1, 0], [0.25, 0, -1]]
    numbers = {text.get_position(): text.get_text() for text in figure.axes[0].texts}
    assert numbers == {
        (0, 0): "6", (1, 0): "2", (1, 1): "5", (0, 2): "1", (2, 2): "3"
    }  # fmt: skip
    assert finding(figure) == (
        "82.4 % of 17 images were predicted correctly; most often a was mistaken for b (2 times)"
    )
    assert "2   a → b\n    1   $c$ → a" in words(figure)
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert [label.replace("\u00a0", " ") for label in labels] == [
        "a  75.0 %", "b  100.0 %", "$c$  75.0 %"
    ]  # fmt: skip
    assert not is_cut(figure)
    scale = figure.axes[1].get_title(loc="left").replace("\n", " ")
    assert scale == "share of the true class given this label (square-root scale)"


@pytest.mark.parametrize("count", [2, 10, 26, 47])
def test_confusion_is_legible_for_few_and_for_many_classes(
    count: int, is_cut: Callable[[Figure], bool]
) -> None:
    generator = np.random.default_rng(count)
    matrix = generator.integers(0, 30, (count, count)) + 500 * np.eye(count, dtype=int)
    names = [f"a long class name {i}" for i in range(count)]
    figure = plots.draw_confusion(matrix, names, title=TITLE)
    assert not is_cut(figure)
    assert bool(figure.axes[0].texts) == (count <= 20)


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        (np.zeros((2, 2), dtype=int), "No image was predicted"),
        (np.diag([3, 0]), "All 3 images were predicted correctly"),
    ],
)
def test_confusion_without_mistakes_says_so(
    matrix: NDArray[np.int64], expected: str, finding: Callable[[Figure], str]
) -> None:
    figure = plots.draw_confusion(matrix, ("a", "b"), title=TITLE)
    plots.to_png(figure)
    assert finding(figure) == expected
