"""The figures of what a data set looks like."""

from collections.abc import Callable

import numpy as np
import pytest
from matplotlib.figure import Figure

from pipeline import plots

TITLE = "relu+dropout p=0.5 seed 0"


def test_samples_are_the_first_of_each_class_on_white(
    words: Callable[[Figure], str], finding: Callable[[Figure], str]
) -> None:
    images = np.arange(4, dtype=np.uint8)[:, None, None] * np.ones((2, 3), dtype=np.uint8)
    figure = plots.draw_samples(
        images, np.array([1, 0, 1, 1]), classes=("a", "b", "none"), title=TITLE
    )
    pixels = figure.axes[0].images[0].get_array()
    rows, columns = 3, pixels.shape[1] // 4
    cells = pixels.reshape(rows, 3, columns, 4)[:, 1:, :, 1:]  # a gap of one pixel above and left
    assert cells[:, 0, :3, 0].tolist() == [[1, 255, 255], [0, 2, 3], [255, 255, 255]]
    assert (cells == cells[:, :1, :, :1]).all()
    assert finding(figure) == "4 images of 2 x 3 pixels, 3 classes: 0 to 3 per class"
    assert {"a  1", "b  3", "none  0"} <= set(words(figure).split("\n"))


def test_class_means_are_pixel_by_pixel_below_what_they_show(
    finding: Callable[[Figure], str],
) -> None:
    images = np.array([[[0, 10]], [[100, 30]], [[7, 9]]], dtype=np.uint8)
    figure = plots.draw_class_means(images, np.array([0, 0, 1]), classes=("a", "b"), title=TITLE)
    pixels = figure.axes[0].images[0].get_array()
    assert pixels[-1].tolist() == [255, 50, 20, 255, 7, 9]
    assert finding(figure) == "a and b are most alike: their mean images correlate at -1.00"


@pytest.mark.parametrize("draw", [plots.draw_samples, plots.draw_class_means])
@pytest.mark.parametrize(
    ("count", "shape"), [(1, (1, 1)), (10, (5, 400)), (10, (400, 300)), (47, (28, 28))]
)
def test_images_of_any_size_and_number_of_classes_fit_their_sheet(
    draw: Callable[..., Figure],
    count: int,
    shape: tuple[int, int],
    is_cut: Callable[[Figure], bool],
) -> None:
    images = np.full((60, *shape), 128, dtype=np.uint8)
    names = [f"class ${i}$" for i in range(count)]
    figure = draw(images, np.arange(60) % count, classes=names, title=TITLE)
    assert not is_cut(figure)
    assert max(axes.images[0].get_array().size for axes in figure.axes) < 4_000_000
