"""Records made by hand or from a seed, and what a person would read in a figure."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from numpy.typing import NDArray

from pipeline.records import EpochRecord, LayerRecord, Score
from why_zero.records import UnitStates, ZeroCauses


def make_causes(active: int, dropped: int, inactive: int, both: int) -> ZeroCauses:
    return ZeroCauses(*(np.array([n]) for n in (active, dropped, inactive, both)))


def make_states(fired: Sequence[int], samples: int = 10) -> UnitStates:
    counts = np.array(fired)
    return UnitStates(samples=samples, fired=counts, reached=counts, magnitude=counts / samples)


def make_layer(
    name: str,
    counts: tuple[int, int, int, int],
    fired: Sequence[int] | None = None,
    *,
    gradients: Sequence[float] | None = None,
    updates: Sequence[float] | None = None,
) -> LayerRecord:
    return LayerRecord(
        name=name,
        causes=make_causes(*counts),
        states=None if fired is None else make_states(fired),
        gradient_norms=None if gradients is None else np.array(gradients, dtype=np.float64),
        update_norms=None if updates is None else np.array(updates, dtype=np.float64),
    )


def make_epoch(
    number: int, *layers: LayerRecord, accuracy: float = 0.5, **changes: object
) -> EpochRecord:
    score = Score(loss=1.0, accuracy=accuracy)
    train = score if number else None
    record = EpochRecord(
        member=0, epoch=number, layers=layers, train=train, train_eval=score, validation=score
    )
    return replace(record, **changes)  # type: ignore[arg-type]


def make_random_history(
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
            norms = [generator.lognormal(-5, 2, units) * (fired > 10) for _ in range(2)]
            layers.append(
                LayerRecord(
                    name=f"h{i + 1}",
                    causes=ZeroCauses(fired - dropped, dropped, 50 - fired - both, both),
                    states=make_states(fired, 50) if relu else None,
                    gradient_norms=norms[0] if number else None,
                    update_norms=norms[1] if number else None,
                )
            )
        layers.append(make_layer("logits", (5, 5, 0, 0) if rate else (10, 0, 0, 0)))
        records.append(make_epoch(number, *layers, accuracy=generator.random()))
    return records


HISTORIES = {
    "the network as born alone": make_random_history((8, 8, 4, 4), 0),
    "no ReLU": make_random_history((8, 8), 3, relu=False),
    "no ReLU and no dropout": make_random_history((8,), 2, relu=False, rate=0.0),
    "one hidden layer": make_random_history((16,), 3),
    "a single unit": make_random_history((1,), 2),
    "all dead": make_random_history((8, 8), 2, firing=0.0),
    "all always on": make_random_history((8, 8), 2, firing=1.0),
    "units that come and go": make_random_history((80, 3), 12, firing=0.02),
    "eleven hidden layers": make_random_history((4,) * 11, 12),
    "nothing watched": [
        make_epoch(0, make_layer("h1", (0, 0, 0, 0), (1, 2)), make_layer("logits", (0, 0, 0, 0)))
    ],
    "diverged": [
        *make_random_history((8,), 1),
        make_epoch(
            2,
            make_layer(
                "h1", (0, 0, 4, 4), (0,) * 8, gradients=[math.nan] * 8, updates=[math.nan] * 8
            ),
            make_layer("logits", (4, 4, 0, 0)),
            train=Score(math.nan, 0.1),
            train_eval=Score(math.inf, 0.1),
            validation=Score(math.nan, 0.1),
            ending="diverged",
        ),
    ],
    "nothing held out": [
        replace(record, validation=None) for record in make_random_history((8,), 2)
    ],
}


def read_words(figure: Figure) -> str:
    found = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]
    return "\n".join(text.get_text() for text in found).replace("\u00a0", " ")


def read_heads(figure: Figure) -> list[str]:
    return [axes.get_title(loc="left").replace("\u00a0", " ") for axes in figure.axes]


def read_finding(figure: Figure) -> str:
    return " ".join(figure.texts[0].get_text().split())


def read_pixels(figure: Figure) -> NDArray[np.uint8]:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba(), dtype=np.uint8)[..., :3].copy()


def reaches_the_edge(figure: Figure) -> bool:
    image = read_pixels(figure)
    edges = [image[0], image[-1], image[:, 0], image[:, -1]]
    labels = [*figure.texts]
    for axes in figure.axes:
        labels += [axes.xaxis.label, axes.yaxis.label, *axes.texts]
    boxes = [label.get_window_extent() for label in labels if label.get_text()]
    centres = [((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2) for box in boxes]
    return any(bool((edge < 255).any()) for edge in edges) or not all(
        figure.bbox.contains(*centre) for centre in centres
    )


@pytest.fixture(scope="session")
def causes() -> Callable[..., ZeroCauses]:
    return make_causes


@pytest.fixture(scope="session")
def states() -> Callable[..., UnitStates]:
    return make_states


@pytest.fixture(scope="session")
def layer() -> Callable[..., LayerRecord]:
    """A layer of (active, dropped, inactive, both) activations, whose units fired so often."""
    return make_layer


@pytest.fixture(scope="session")
def epoch() -> Callable[..., EpochRecord]:
    return make_epoch


@pytest.fixture(scope="session")
def two_epochs() -> list[EpochRecord]:
    """One ReLU layer of three units; the second one dies, the third always fires."""
    logits = make_layer("logits", (4, 4, 0, 0))
    return [
        make_epoch(0, make_layer("h1", (2, 1, 3, 2), (0, 5, 10)), logits, accuracy=0.1),
        make_epoch(1, make_layer("h1", (4, 0, 4, 0), (0, 0, 10)), logits, accuracy=0.9),
    ]


@pytest.fixture(scope="session")
def random_history() -> Callable[..., list[EpochRecord]]:
    return make_random_history


@pytest.fixture(scope="session")
def histories() -> Mapping[str, list[EpochRecord]]:
    """Histories that a figure may find hard to draw, by what is odd about them."""
    return HISTORIES


@pytest.fixture(scope="session", params=HISTORIES)
def any_history(request: pytest.FixtureRequest) -> list[EpochRecord]:
    """Each of the histories in turn."""
    return HISTORIES[request.param]


@pytest.fixture(scope="session")
def words() -> Callable[[Figure], str]:
    """All that is written in a figure."""
    return read_words


@pytest.fixture(scope="session")
def heads() -> Callable[[Figure], list[str]]:
    """The panels' titles."""
    return read_heads


@pytest.fixture(scope="session")
def finding() -> Callable[[Figure], str]:
    """The heading, in one line."""
    return read_finding


@pytest.fixture(scope="session")
def is_cut() -> Callable[[Figure], bool]:
    """Whether something drawn reaches the figure's edge, or a label lies beyond it."""
    return reaches_the_edge


@pytest.fixture(scope="session")
def pixels() -> Callable[[Figure], NDArray[np.uint8]]:
    """The figure as an image, shape (height, width, 3)."""
    return read_pixels
