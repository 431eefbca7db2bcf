"""Images of any size laid out as MNIST's, against hand arithmetic and MNIST itself."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from pipeline.data import ImageData, load
from pipeline.errors import PipelineError
from pipeline.predict.layouts import LAYOUTS, Ink, as_it_is, ink_of, laid_out, layout_of

Grey = NDArray[np.uint8]
DEBIAN = Path("/usr/share/datasets/fashion-mnist")
needs_debian = pytest.mark.skipif(
    not DEBIAN.is_dir(), reason="needs Debian's package dataset-fashion-mnist"
)


@pytest.fixture(scope="module")
def mnist() -> ImageData:
    return load("mnist")


def mnist_like(image: Grey, ink: Ink = "auto") -> Grey:
    return laid_out(image, (28, 28), layout="mnist", ink=ink, name="x")


def on_canvas(drawn: Grey, height: int, width: int, *, top: int, left: int) -> Grey:
    canvas = np.zeros((height, width), np.uint8)
    canvas[top : top + drawn.shape[0], left : left + drawn.shape[1]] = drawn
    return canvas


def without_a_quarter(side: int) -> Grey:
    """A white square whose upper left quarter is missing."""
    drawn = np.full((side, side), 255, np.uint8)
    drawn[: side // 2, : side // 2] = 0
    return drawn


def box(image: Grey) -> tuple[int, int, int, int]:
    """First and last row, first and last column that are not black."""
    rows, columns = np.flatnonzero(image.any(1)), np.flatnonzero(image.any(0))
    return int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1])


def centre(image: Grey) -> tuple[float, float]:
    total = image.sum(dtype=np.float64)
    places = np.arange(28)
    return float(image.sum(1) @ places / total), float(image.sum(0) @ places / total)


# MNIST's layout


def test_a_shape_that_fits_is_only_moved_its_centre_of_mass_to_pixel_14() -> None:
    shape = without_a_quarter(20)
    # Mass 300; centre (400 * 9.5 - 100 * 4.5) / 300 = 11.17, so it starts at round(14 - 11.17).
    expected = on_canvas(shape, 28, 28, top=3, left=3)
    np.testing.assert_array_equal(mnist_like(on_canvas(shape, 90, 60, top=7, left=33)), expected)


def test_the_longer_side_becomes_20_pixels_and_the_ratio_is_kept() -> None:
    flat = mnist_like(on_canvas(np.full((60, 120), 255, np.uint8), 300, 200, top=9, left=40))
    # 20 x 10, centres 9.5 and 4.5: columns from 14 - 9.5, rows from 14 - 4.5, halves rounded up.
    assert box(flat) == (10, 19, 5, 24)
    tall = mnist_like(on_canvas(np.full((8, 2), 255, np.uint8), 30, 30, top=9, left=4))
    assert box(tall) == (5, 24, 12, 16)


def test_a_very_thin_stroke_keeps_one_pixel() -> None:
    stroke = mnist_like(on_canvas(np.full((400, 3), 255, np.uint8), 500, 500, top=9, left=4))
    first, last, left, right = box(stroke)
    assert (last - first, left) == (19, right)


def test_nothing_is_pushed_out_of_the_image_for_the_sake_of_the_centre_of_mass() -> None:
    corner = np.zeros((20, 20), np.uint8)
    corner[:, :2] = corner[18:] = 255
    # Mass 76, centre of the columns (40 * 0.5 + 36 * 10.5) / 76 = 5.24: 9 to the right, room for 8;
    # of the rows (40 * 9.5 + 36 * 18.5) / 76 = 13.76: none down.
    expected = on_canvas(corner, 28, 28, top=0, left=8)
    np.testing.assert_array_equal(mnist_like(on_canvas(corner, 40, 40, top=10, left=10)), expected)


def test_enlarged_shapes_come_back_with_grey_edges_alone() -> None:
    large = np.kron(without_a_quarter(20), np.ones((8, 8), np.uint8))
    back = mnist_like(on_canvas(large, 300, 300, top=50, left=90)).astype(int)
    exact = on_canvas(without_a_quarter(20), 28, 28, top=3, left=3).astype(int)
    assert np.abs(back - exact).max() <= 40
    assert np.count_nonzero(back != exact) <= 4 * 20 + 20


@given(top=st.integers(1, 40), left=st.integers(1, 40), seed=st.integers(0, 99))
def test_where_it_is_drawn_and_on_which_ground_changes_nothing(
    top: int, left: int, seed: int
) -> None:
    source = np.random.default_rng(seed)
    drawn = np.kron(source.integers(0, 2, (6, 5)), np.ones((5, 5))).astype(np.uint8) * 255
    drawn[0, 0] = drawn[-1, -1] = 255
    here = on_canvas(drawn, 80, 80, top=20, left=20)
    there = on_canvas(drawn, 80, 80, top=top, left=left)
    np.testing.assert_array_equal(mnist_like(there), mnist_like(here))
    np.testing.assert_array_equal(mnist_like(255 - there), mnist_like(here))


@given(seed=st.integers(0, 999))
def test_the_centre_of_mass_is_within_half_a_pixel_and_the_box_is_20(seed: int) -> None:
    source = np.random.default_rng(seed)
    drawn = on_canvas(source.integers(128, 256, (30, 30)).astype(np.uint8), 90, 90, top=30, left=30)
    laid = mnist_like(drawn)
    first, last, left, right = box(laid)
    assert (last - first, right - left) == (19, 19)
    assert np.abs(np.array(centre(laid)) - 14).max() <= 0.5 + 1e-9


def test_paper_noise_and_uneven_light_are_ground(mnist: ImageData) -> None:
    digit = mnist.test_images[0].numpy()
    large = np.asarray(Image.fromarray(digit).resize((280, 280), Image.Resampling.BICUBIC))
    noise = np.random.default_rng(0).normal(0, 5, large.shape) + np.linspace(0, 20, 280)
    scan = np.clip(225 - large * 0.6 + noise, 0, 255).astype(np.uint8)
    gap = np.abs(mnist_like(scan).astype(int) - mnist_like(large).astype(int)).mean()
    assert gap < 6
    assert box(mnist_like(scan)) == box(mnist_like(large))


def test_enlarged_mnist_digits_come_back_as_they_were(mnist: ImageData) -> None:
    digits = mnist.test_images[:200].numpy()
    gaps, shifted = [], []
    for digit in digits:
        large = np.asarray(Image.fromarray(digit).resize((168, 168), Image.Resampling.BICUBIC))
        page = on_canvas(large, 300, 260, top=60, left=10)
        gaps.append(np.abs(mnist_like(255 - page).astype(int) - digit).mean())
        shifted.append(np.abs(np.roll(digit, 1, axis=1).astype(int) - digit).mean())
    # Off by one pixel would be a difference of 19.
    assert np.mean(gaps) < 8
    assert np.mean(shifted) > 15


# Images that have the right size


def test_every_mnist_image_is_taken_as_it_is(mnist: ImageData) -> None:
    for image in mnist.test_images.numpy():
        np.testing.assert_array_equal(as_it_is(image, ink="auto", name="x"), image)


def test_a_dark_on_light_image_of_the_right_size_is_turned_over(mnist: ImageData) -> None:
    for image in mnist.test_images[:1000].numpy():
        turned = as_it_is(255 - image, ink="auto", name="x")
        np.testing.assert_array_equal(turned, image)


def test_the_edge_tells_the_ink_of_any_data() -> None:
    shoe = np.zeros((20, 30), np.uint8)
    shoe[6:14, :] = 220  # reaches both sides, as clothes and one's own subjects may
    for image in (shoe, 255 - shoe):
        np.testing.assert_array_equal(as_it_is(image, ink="auto", name="x"), shoe)
        np.testing.assert_array_equal(as_it_is(image, ink="dark", name="x"), 255 - image)


@needs_debian
def test_every_fashion_mnist_image_is_taken_as_it_is() -> None:
    """Clothes reach the edge, but never around most of it."""
    for image in load("fashion-mnist", str(DEBIAN)).test_images.numpy():
        assert ink_of([image]) == "light"
        assert ink_of([255 - image]) == "dark"


def test_the_ink_of_a_data_set_is_that_of_most_of_its_images(mnist: ImageData) -> None:
    images = list(mnist.test_images[:3].numpy())
    assert ink_of([*images, 255 - images[0]]) == "light"
    assert ink_of([255 - image / 255 for image in images]) == "dark"


# Other layouts


def test_a_data_set_is_laid_out_as_its_own_authors_did() -> None:
    names = ("mnist", "qmnist", "emnist-mnist", "emnist-letters", "fashion-mnist", "kmnist", "mine")
    assert [layout_of(name) for name in names] == [
        *("mnist", "mnist", "emnist", "emnist", "fashion-mnist", "whole", "whole"),
    ]


def test_emnist_is_centred_by_its_box_with_two_pixels_free() -> None:
    page = on_canvas(without_a_quarter(24), 60, 90, top=5, left=50)
    laid = laid_out(page, (28, 28), layout="emnist", ink="auto", name="x")
    np.testing.assert_array_equal(laid, on_canvas(without_a_quarter(24), 28, 28, top=2, left=2))


def test_clothes_fill_the_longer_side_negated_and_keep_their_shades() -> None:
    photo = np.full((100, 100), 253, np.uint8)
    photo[20:76, 40:68] = 200
    photo[34:62, 40:68] = 100
    laid = laid_out(photo, (28, 28), layout="fashion-mnist", ink="auto", name="x")
    # 56 x 28 becomes 28 x 14; 255 - 200 and 255 - 100, each less the ground's 255 - 253.
    assert box(laid) == (0, 27, 7, 20)
    assert (laid[3, 10], laid[14, 14]) == (53, 153)


def test_the_whole_image_is_scaled_to_fit_without_cropping() -> None:
    wide = np.zeros((20, 40), np.uint8)
    wide[:, 24:] = 100
    for page, ink in ((wide, "auto"), (255 - wide, "auto"), (wide, "light"), (255 - wide, "dark")):
        laid = laid_out(page, (6, 8), layout="whole", ink=ink, name="x")
        np.testing.assert_array_equal(laid[[0, 5]], 0)
        assert (laid[1:5, :4].max(), laid[1:5, 6:].min()) == (0, 100)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_other_sizes_have_margins_in_proportion(layout: str) -> None:
    page = on_canvas(np.full((50, 50), 255, np.uint8), 90, 90, top=20, left=20)
    laid = laid_out(page, (56, 56), layout=layout, ink="auto", name="x")
    first, last, _, _ = box(laid)
    assert last - first + 1 == 56 - 4 * LAYOUTS[layout].margin


@pytest.mark.parametrize("layout", [*LAYOUTS, "whole"])
@pytest.mark.parametrize("level", [0, 140, 255])
def test_a_blank_image_is_refused_by_name(layout: str, level: int) -> None:
    blank = np.full((40, 40), level, np.uint8)
    with pytest.raises(PipelineError, match="got a single grey in page 3"):
        laid_out(blank, (28, 28), layout=layout, ink="auto", name="page 3")
    with pytest.raises(PipelineError, match="got a single grey in page 3"):
        as_it_is(blank[:28, :28], ink="auto", name="page 3")


def test_paper_with_nothing_but_noise_is_blank() -> None:
    paper = np.random.default_rng(0).integers(225, 240, (60, 60)).astype(np.uint8)
    with pytest.raises(PipelineError, match="got a single grey"):
        mnist_like(paper)
