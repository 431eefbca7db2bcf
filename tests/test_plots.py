"""Figures: what they draw from hand-made records, in which colours and words."""

import math
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.typing import ColorType
from numpy.typing import NDArray

from pipeline import plots
from pipeline.plots import style
from pipeline.recipe import Recipe
from pipeline.records import EpochRecord, LayerRecord, Score, UnitStates, ZeroCauses

TITLE = "relu+dropout p=0.5 seed 0"


def causes(active: int, dropped: int, inactive: int, both: int) -> ZeroCauses:
    return ZeroCauses(*(np.array([n]) for n in (active, dropped, inactive, both)))


def states(fired: Sequence[int], samples: int = 10) -> UnitStates:
    counts = np.array(fired)
    return UnitStates(samples=samples, fired=counts, reached=counts, magnitude=counts / samples)


def layer(
    name: str, counts: tuple[int, int, int, int], fired: Sequence[int] | None = None
) -> LayerRecord:
    return LayerRecord(
        name=name, causes=causes(*counts), states=None if fired is None else states(fired)
    )


def epoch(
    number: int, *layers: LayerRecord, accuracy: float = 0.5, **changes: object
) -> EpochRecord:
    score = Score(loss=1.0, accuracy=accuracy)
    train = score if number else None
    record = EpochRecord(
        member=0, epoch=number, layers=layers, train=train, train_eval=score, validation=score
    )
    return replace(record, **changes)  # type: ignore[arg-type]


def two_epochs() -> list[EpochRecord]:
    """One ReLU layer of three units; the second one dies, the third always fires."""
    logits = layer("logits", (4, 4, 0, 0))
    return [
        epoch(0, layer("h1", (2, 1, 3, 2), (0, 5, 10)), logits, accuracy=0.1),
        epoch(1, layer("h1", (4, 0, 4, 0), (0, 0, 10)), logits, accuracy=0.9),
    ]


def random_history(
    widths: tuple[int, ...],
    epochs: int,
    *,
    relu: bool = True,
    rate: float = 0.5,
    firing: float = 0.3,
) -> list[EpochRecord]:
    generator = np.random.default_rng(0)
    records = []
    for number in range(epochs + 1):
        layers = []
        for i, units in enumerate(widths):
            fired = generator.binomial(50, firing, units) if relu else np.full(units, 50)
            dropped = generator.binomial(fired, rate)
            both = generator.binomial(50 - fired, rate)
            counts = ZeroCauses(fired - dropped, dropped, 50 - fired - both, both)
            layers.append(
                LayerRecord(
                    name=f"h{i + 1}", causes=counts, states=states(fired, 50) if relu else None
                )
            )
        layers.append(layer("logits", (5, 5, 0, 0) if rate else (10, 0, 0, 0)))
        records.append(epoch(number, *layers, accuracy=generator.random()))
    return records


HISTORIES = {
    "the network as born alone": random_history((8, 8, 4, 4), 0),
    "no ReLU": random_history((8, 8), 3, relu=False),
    "no ReLU and no dropout": random_history((8,), 2, relu=False, rate=0.0),
    "one hidden layer": random_history((16,), 3),
    "a single unit": random_history((1,), 2),
    "all dead": random_history((8, 8), 2, firing=0.0),
    "all always on": random_history((8, 8), 2, firing=1.0),
    "eleven hidden layers": random_history((4,) * 11, 12),
    "nothing watched": [epoch(0, layer("h1", (0, 0, 0, 0), (1, 2)), layer("logits", (0, 0, 0, 0)))],
    "diverged": [
        *random_history((8,), 1),
        epoch(
            2,
            layer("h1", (0, 0, 4, 4), (0,) * 8),
            layer("logits", (4, 4, 0, 0)),
            train=Score(math.nan, 0.1),
            train_eval=Score(math.inf, 0.1),
            validation=Score(math.nan, 0.1),
            ending="diverged",
        ),
    ],
    "nothing held out": [replace(record, validation=None) for record in random_history((8,), 2)],
}


def texts(figure: Figure) -> list[Text]:
    return [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]


def words(figure: Figure) -> str:
    return "\n".join(text.get_text() for text in texts(figure)).replace("\u00a0", " ")


def heads(figure: Figure) -> list[str]:
    return [axes.get_title(loc="left").replace("\u00a0", " ") for axes in figure.axes]


def finding(figure: Figure) -> str:
    return " ".join(figure.texts[0].get_text().split())


def is_cut(figure: Figure) -> bool:
    """Whether something drawn reaches the sheet's edge, or a label lies beyond it."""
    image = plots.to_image(figure)
    edges = [image[0], image[-1], image[:, 0], image[:, -1]]
    labels = [*figure.texts]
    for axes in figure.axes:
        labels += [axes.xaxis.label, axes.yaxis.label, *axes.texts]
    boxes = [label.get_window_extent() for label in labels if label.get_text()]
    centres = [((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2) for box in boxes]
    return any(bool((edge < 255).any()) for edge in edges) or not all(
        figure.bbox.contains(*centre) for centre in centres
    )


# Machado, Oliveira and Fernandes 2009, "A Physiologically-based Model for Simulation of Color
# Vision Deficiency", severity 1.0, for linear RGB.
VISIONS = {
    "normal": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def lab(colour: ColorType, vision: str = "normal") -> NDArray[np.float64]:
    """CIE L*a*b* (D65) of an sRGB colour as somebody sees it."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.array(VISIONS[vision]) @ linear, 0, 1)
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = np.array(to_xyz) @ seen / (0.9505, 1.0, 1.089)
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz * (29 / 6) ** 2 / 3 + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def test_the_colour_measure_agrees_with_published_values() -> None:
    # Lab of sRGB red, green and blue under D65, as Bruce Lindbloom's calculator gives them.
    assert lab("#FF0000") == pytest.approx((53.24, 80.09, 67.20), abs=0.05)
    assert lab("#00FF00") == pytest.approx((87.73, -86.18, 83.18), abs=0.05)
    assert lab("#0000FF") == pytest.approx((32.30, 79.19, -107.86), abs=0.05)


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize(
    "colours",
    [
        [look.colour for look in style.CAUSES.values()],
        [series.colour for series in style.SERIES],
        [style.FIRING, style.DEAD, style.ALWAYS_ON],
    ],
    ids=["causes", "curves", "firing"],
)
def test_colours_of_one_figure_differ_for_every_kind_of_sight(
    colours: list[str], vision: str
) -> None:
    # A difference of about 2 can just be seen (Mahy et al. 1994).
    for one, other in combinations(colours, 2):
        assert np.linalg.norm(lab(one, vision) - lab(other, vision)) > 20


@pytest.mark.parametrize("vision", VISIONS)
def test_a_dead_unit_differs_from_every_firing_rate_by_colour_and_by_lightness(vision: str) -> None:
    dead = lab(style.DEAD, vision)
    for rate in np.linspace(0, 1, 33):
        firing = lab(style.FIRING_RATES(rate), vision)
        assert np.linalg.norm(dead - firing) > 30
        assert firing[0] - dead[0] > 10


def test_causes_and_curves_differ_by_lightness_and_by_hatch_or_marker() -> None:
    for looks in (list(style.CAUSES.values()), list(style.SERIES)):
        lightness = sorted(lab(look.colour)[0] for look in looks)
        assert np.diff(lightness).min() > 15
    assert len({look.hatch for look in style.CAUSES.values()}) == 4
    assert len({series.marker for series in style.SERIES}) == 3


def test_a_cause_has_the_same_colour_in_every_figure() -> None:
    history = two_epochs()
    figures = [
        plots.draw_causes(history, TITLE),
        plots.draw_drop_rates([(Recipe(widths=(3,)), history[-1])], TITLE),
    ]
    expected = [look.colour for look in style.CAUSES.values()]
    for figure in figures:
        patches = next(axes for axes in figure.axes if heads(figure) and axes.patches).patches
        assert [to_hex(patch.get_facecolor()).upper() for patch in patches] == expected


@pytest.mark.parametrize("name", HISTORIES)
def test_every_history_is_drawn_within_its_sheet(name: str) -> None:
    history = HISTORIES[name]
    figures = [
        plots.draw_causes(history, TITLE),
        plots.draw_firing_rates(history[-1], TITLE),
        plots.draw_learning_curves(history, TITLE),
        plots.draw_units(history, TITLE),
        plots.draw_drop_rates([(Recipe(), history[-1])], TITLE),
    ]
    for figure in figures:
        assert not is_cut(figure)
        assert TITLE in words(figure)


def test_causes_are_stacked_to_one() -> None:
    axes, logits = plots.draw_causes(two_epochs(), TITLE).axes
    # Epoch 0: 3 inactive, 2 both, 1 dropped, 2 active of 8; epoch 1: 4 inactive, 4 active.
    tops = [patch.get_data().values.tolist() for patch in axes.patches]
    assert tops == [[0.375, 0.5], [0.625, 0.5], [0.75, 0.5], [1.0, 1.0]]
    bases = [patch.get_data().baseline.tolist() for patch in axes.patches]
    assert bases == [[0.0, 0.0], *tops[:3]]
    assert axes.patches[0].get_data().edges.tolist() == [-0.5, 0.5, 1.5]
    assert logits.patches[2].get_data().values.tolist() == [0.5, 0.5]


def test_the_heading_of_causes_says_how_much_is_zero_and_why() -> None:
    history = two_epochs()
    figure = plots.draw_causes(history, TITLE)
    assert finding(figure) == "In epoch 1, 50 % of hidden activations were zero, all by ReLU"
    assert heads(figure) == ["h1: 50 % zero", "logits: 50 % zero"]
    assert finding(plots.draw_causes(history[:1], TITLE)) == (
        "Before training, 75 % of hidden activations were zero: ReLU 38 %, both 25 %, dropout 12 %"
    )
    assert "no pass was watched" in finding(plots.draw_causes(HISTORIES["nothing watched"], TITLE))
    none = plots.draw_causes(HISTORIES["no ReLU and no dropout"], TITLE)
    assert finding(none) == "In epoch 2, no hidden activation was zero"


def test_firing_rates_show_dead_and_always_on_units_apart() -> None:
    figure = plots.draw_firing_rates(two_epochs()[0], TITLE)
    (axes,) = figure.axes
    assert heads(figure) == ["h1: 1 of 3 dead\n1 always on"]
    assert finding(figure) == "Before training, 1 of 3 ReLU units are dead and 1 always on"
    dead, always = axes.patches
    assert to_hex(dead.get_facecolor()).upper() == style.DEAD
    assert (dead.get_x(), dead.get_width()) == (0, pytest.approx(1 / 3))
    assert to_hex(always.get_facecolor()).upper() == style.ALWAYS_ON
    assert (always.get_x(), always.get_width()) == (pytest.approx(2 / 3), pytest.approx(1 / 3))
    corners = axes.collections[0].get_paths()[0].get_extents().get_points()
    assert corners == pytest.approx(np.array([[1 / 3, 0], [2 / 3, 0.5]]))


def test_firing_rates_of_all_epochs_have_the_same_places_and_scales() -> None:
    figures = [plots.draw_firing_rates(record, TITLE) for record in random_history((8, 4), 3)]
    assert len({plots.to_image(figure).shape for figure in figures}) == 1
    for one, other in combinations(figures, 2):
        for axes, twin in zip(one.axes, other.axes, strict=True):
            assert axes.get_position().bounds == twin.get_position().bounds
            assert (axes.get_xlim(), axes.get_ylim()) == (twin.get_xlim(), twin.get_ylim())


def test_the_map_of_units_puts_the_dead_below_and_above_them_those_that_were() -> None:
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


def test_a_unit_that_fires_for_one_image_in_many_is_not_shown_dead() -> None:
    counts = causes(1, 0, 0, 0)
    rare = LayerRecord(name="h1", causes=counts, states=states((1, 0), samples=1_000_000))
    figure = plots.draw_units([epoch(0, rare)], TITLE)
    assert figure.axes[0].images[0].get_array().mask.tolist() == [[True], [False]]
    assert heads(figure)[0] == "h1: 1 of 2 dead\n1 born dead"


def test_the_heading_of_the_map_names_the_layer_with_most_dead_units() -> None:
    assert finding(plots.draw_units(two_epochs(), TITLE)) == (
        "h1: 33 % of units were born dead, 67 % are dead after epoch 1"
    )
    assert finding(plots.draw_units(two_epochs()[:1], TITLE)) == "h1: 33 % of units were born dead"
    back = [
        epoch(0, layer("h1", (1, 0, 0, 0), (0, 5))),
        epoch(1, layer("h1", (1, 0, 0, 0), (1, 5))),
    ]
    assert finding(plots.draw_units(back, TITLE)) == (
        "h1: 50 % of units were born dead, none is dead after epoch 1"
    )
    alive = plots.draw_units(HISTORIES["all always on"], TITLE)
    assert finding(alive) == "No unit was born dead, and none is dead after epoch 2"
    assert "No ReLU" in finding(plots.draw_units(HISTORIES["no ReLU"], TITLE))


def test_learning_curves_hold_the_scores_and_say_where_dropout_was_on() -> None:
    history = two_epochs()
    figure = plots.draw_learning_curves(history, TITLE, validation_name="held-out images")
    losses, accuracies = figure.axes
    curves = {line.get_label(): line.get_ydata().tolist() for line in accuracies.lines}
    in_training = curves.pop("in training, with dropout on")
    assert math.isnan(in_training[0])
    assert in_training[1] == 0.9
    assert curves == {"images trained on": [0.1, 0.9], "held-out images": [0.1, 0.9]}
    assert losses.lines[1].get_ydata().tolist() == [1.0, 1.0]
    assert finding(figure) == (
        "After epoch 1: 90.0 % of the held-out images right, loss 1.00 (untrained: 10.0 %, 1.00)"
    )
    plain = plots.draw_learning_curves(HISTORIES["no ReLU and no dropout"], TITLE)
    assert "dropout on" not in words(plain)


def test_scores_of_a_diverged_network_leave_a_gap() -> None:
    figure = plots.draw_learning_curves(HISTORIES["diverged"], TITLE)
    assert [math.isnan(line.get_ydata()[2]) for line in figure.axes[0].lines] == [True] * 3
    assert finding(figure) == "The loss became NaN or infinite in epoch 2"


@pytest.mark.parametrize(
    ("loss", "accuracy"),
    [(0.0, 1.0), (1e-9, 0.9999), (0.112, 0.973), (2.3026, 0.1), (1e9, 0.5), (math.nan, 0.0)],
)
def test_every_score_lies_between_two_ticks_in_sight(loss: float, accuracy: float) -> None:
    score = Score(loss=loss, accuracy=accuracy)
    record = epoch(0, layer("logits", (1, 0, 0, 0)), train_eval=score, validation=score)
    for axes in plots.draw_learning_curves([record], TITLE).axes:
        low, high = axes.get_ylim()
        assert sum(low <= tick <= high for tick in axes.get_yticks()) >= 2
    assert axes.get_ylim()[0] <= accuracy <= axes.get_ylim()[1]


def test_networks_of_one_drop_rate_are_averaged_and_shown() -> None:
    half = layer("h1", (1, 1, 1, 1), (0, 5, 10))
    logits = layer("logits", (6, 0, 0, 0))
    results = [
        (Recipe(widths=(3,), seed=0), epoch(1, half, logits, accuracy=0.8)),
        (Recipe(widths=(3,), seed=1), epoch(1, half, logits, accuracy=0.9)),
        (
            Recipe(widths=(3,), drop_rate=0.0),
            epoch(1, layer("h1", (3, 0, 1, 0), (5, 5, 5)), logits, accuracy=0.95),
        ),
    ]
    figure = plots.draw_drop_rates(results, TITLE, validation_name="held-out images")
    accuracies, h1, _ = figure.axes
    means, rings = accuracies.lines
    assert means.get_xydata().tolist() == [[0.0, 0.95], [0.5, pytest.approx(0.85)]]
    assert rings.get_xydata().tolist() == [[0.5, 0.8], [0.5, 0.9]]
    assert h1.patches[2].get_data().values.tolist() == [0.25, 0.75]
    assert [label.get_text() for label in h1.get_xticklabels()] == ["0", "0.5"]
    assert finding(figure) == (
        "p = 0 to p = 0.5: accuracy on the held-out images goes from 95.0 % to 85.0 %, "
        "hidden zeros from 25 % to 75 %"
    )


@pytest.mark.parametrize(("output_dropout", "at_logits"), [(True, 0.4), (False, 0.0)])
def test_expected_zeros_follow_from_relu_and_drop_rate(
    output_dropout: bool, at_logits: float
) -> None:
    # ReLU closed s = (3 + 2) / 10 of the hidden pairs, and p = 0.4: s + p - s p = 0.7.
    record = epoch(1, layer("h1", (4, 1, 3, 2), (5,)), layer("logits", (1, 0, 0, 0)))
    recipe = Recipe(widths=(1,), drop_rate=0.4, output_dropout=output_dropout)
    _, h1, logits = plots.draw_drop_rates([(recipe, record)], TITLE).axes
    assert h1.collections[-1].get_segments()[0][:, 1] == pytest.approx([0.7, 0.7])
    assert logits.collections[-1].get_segments()[0][:, 1] == pytest.approx([at_logits] * 2)


def test_twelve_networks_of_two_activations_get_their_own_panels() -> None:
    results = [
        (
            Recipe(drop_rate=rate, activation=activation, widths=(4, 4)),
            random_history((4, 4), 1, relu=activation == "relu", rate=rate)[-1],
        )
        for activation in ("relu", "none")
        for rate in (0.0, 0.1, 0.2, 0.3, 0.4, 0.9)
    ]
    figure = plots.draw_drop_rates(results, TITLE)
    assert not is_cut(figure)
    assert heads(figure)[1:] == [
        f"{name}, {activation}"
        for activation in ("relu", "none")
        for name in ("h1", "h2", "logits")
    ]


def test_confusion_colours_mistakes_by_their_share_of_the_row_and_leaves_hits_out() -> None:
    matrix = np.array([[6, 2, 0], [0, 5, 0], [1, 0, 3]])
    figure = plots.draw_confusion(matrix, ("a", "b", "$c$"), title=TITLE)
    cells = figure.axes[0].images[0].get_array()
    assert cells.filled(-1).tolist() == [[-1, 0.25, 0], [0, -1, 0], [0.25, 0, -1]]
    numbers = {text.get_position(): text.get_text() for text in figure.axes[0].texts}
    assert numbers == {
        (0, 0): "6", (1, 0): "2", (1, 1): "5", (0, 2): "1", (2, 2): "3"
    }  # fmt: skip
    assert finding(figure) == (
        "82.4 % of 17 images were predicted right; most often a was taken for b (2 times)"
    )
    assert "2   a → b\n    1   $c$ → a" in words(figure)
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert [label.replace("\u00a0", " ") for label in labels] == [
        "a  75.0 %", "b  100.0 %", "$c$  75.0 %"
    ]  # fmt: skip
    assert not is_cut(figure)


@pytest.mark.parametrize("count", [2, 10, 26, 47])
def test_confusion_is_legible_for_few_and_for_many_classes(count: int) -> None:
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
        (np.diag([3, 0]), "100.0 % of 3 images were predicted right"),
    ],
)
def test_confusion_without_mistakes_says_so(matrix: NDArray[np.int64], expected: str) -> None:
    figure = plots.draw_confusion(matrix, ("a", "b"), title=TITLE)
    plots.to_image(figure)
    assert finding(figure) == expected


def test_samples_are_the_first_of_each_class_on_white_paper() -> None:
    images = np.arange(4, dtype=np.uint8)[:, None, None] * np.ones((2, 3), dtype=np.uint8)
    figure = plots.draw_samples(
        images, np.array([1, 0, 1, 1]), classes=("a", "b", "none"), title=TITLE
    )
    paper = figure.axes[0].images[0].get_array()
    rows, columns = 3, paper.shape[1] // 4
    cells = paper.reshape(rows, 3, columns, 4)[:, 1:, :, 1:]  # a gap of one pixel above and left
    assert cells[:, 0, :3, 0].tolist() == [[1, 255, 255], [0, 2, 3], [255, 255, 255]]
    assert (cells == cells[:, :1, :, :1]).all()
    assert finding(figure) == "4 images of 2 x 3 pixels, 3 classes: 0 to 3 a class"
    assert {"a  1", "b  3", "none  0"} <= set(words(figure).split("\n"))


def test_class_means_are_pixel_by_pixel() -> None:
    images = np.array([[[0, 10]], [[100, 30]], [[7, 9]]], dtype=np.uint8)
    figure = plots.draw_class_means(images, np.array([0, 0, 1]), classes=("a", "b"), title=TITLE)
    paper = figure.axes[0].images[0].get_array()
    assert paper[-1].tolist() == [255, 50, 20, 255, 7, 9]


@pytest.mark.parametrize("draw", [plots.draw_samples, plots.draw_class_means])
@pytest.mark.parametrize(
    ("count", "shape"), [(1, (1, 1)), (10, (5, 400)), (10, (400, 300)), (47, (28, 28))]
)
def test_images_of_any_size_and_number_of_classes_fit_their_sheet(
    draw: Callable[..., Figure], count: int, shape: tuple[int, int]
) -> None:
    images = np.full((60, *shape), 128, dtype=np.uint8)
    names = [f"class ${i}$" for i in range(count)]
    figure = draw(images, np.arange(60) % count, classes=names, title=TITLE)
    assert not is_cut(figure)
    assert max(axes.images[0].get_array().size for axes in figure.axes) < 4_000_000


@given(st.floats(min_value=1e-6, max_value=1 - 1e-6))
def test_a_share_is_never_rounded_to_none_or_all(share: float) -> None:
    number = float(style.percent(share).removesuffix("\u00a0%"))
    assert 0 < number < 100
    assert number == pytest.approx(100 * share, abs=0.5)


@pytest.mark.parametrize(
    ("share", "digits", "expected"),
    [
        (0.0, 0, "0"), (1.0, 0, "100"), (0.334, 0, "33"), (0.9741, 1, "97.4"), (0.996, 0, "99.6"),
        (0.003, 0, "0.3"),
    ],
)  # fmt: skip
def test_shares_are_written_as_people_read_them(share: float, digits: int, expected: str) -> None:
    assert style.percent(share, digits) == f"{expected}\u00a0%"
    assert style.percent(math.nan) == "unknown"


def test_an_image_has_the_sheet_s_pixels_in_three_colours() -> None:
    figure = plots.draw_causes(two_epochs(), TITLE)
    image = plots.to_image(figure)
    assert image.dtype == np.uint8
    assert image.shape == (int(figure.bbox.height), 960, 3)
    assert image[0, 0].tolist() == [255, 255, 255]
    colours = {tuple(pixel) for pixel in image.reshape(-1, 3)}
    assert (0x00, 0x72, 0xB2) in colours


def test_figures_drawn_in_threads_are_the_same_as_drawn_alone() -> None:
    records = random_history((8, 4), 5)
    alone = [plots.to_image(plots.draw_firing_rates(record, TITLE)) for record in records]
    with ThreadPoolExecutor(4) as pool:
        together = list(
            pool.map(lambda record: plots.to_image(plots.draw_firing_rates(record, TITLE)), records)
        )
    assert all(np.array_equal(one, other) for one, other in zip(alone, together, strict=True))


def test_pyplot_torch_and_mlflow_stay_unimported() -> None:
    code = (
        "import sys, pipeline.plots;"
        "print(sorted({'matplotlib.pyplot', 'torch', 'mlflow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
