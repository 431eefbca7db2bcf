"""The sentences above figures: numbers in, what they show out, true in every case.

A test can so try the cases that training hardly ever gives: no dead unit, nothing but dead ones, a
single unit, a loss that is not a number.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.records.words import counted, percent
from why_zero.records import Floats

NO_RELU = "No ReLU, so no unit can be dead"
# Two sizes are called equal below this ratio.
_ALIKE = 1.1

Cells = NDArray[np.bool_]


def dead_title(
    layers: Mapping[str, tuple[Cells, Cells]], epoch: int, *, is_diverged: bool = False
) -> str:
    """Where the dead units are, then what became of those born dead.

    Args:
        layers: by ReLU layer, which units were dead before training and which are now.
        epoch: now; 0 is before training.
        is_diverged: the loss was not finite in this epoch. A NaN is above 0 for no image.
    """
    if not layers:
        return NO_RELU
    born, now = (np.concatenate(states) for states in zip(*layers.values(), strict=True))
    dead, units = int(now.sum()), len(now)
    if is_diverged:
        return _after_divergence(dead, units, epoch)
    tail = f" of {next(iter(layers))}" if len(layers) == 1 else ""
    where = _where({name: int(states[1].sum()) for name, states in layers.items()}, units)
    if not epoch:
        return _sentence(_of(dead, units, "unit", "was", "were", tail) + f" born dead{where}")
    lead = _of(dead, units, "unit", "is", "are", tail) + f" dead after epoch {epoch}{where}"
    return _sentence(lead + _since_birth(born, now))


def lives_title(
    events: Mapping[str, int], units: int, epochs: int, *, is_diverged: bool = False
) -> str:
    """How many units were born dead, died and came back, and what woke them.

    Args:
        events: how often each happened: born, died, revived_by_weights, revived_by_recycling,
            revived_by_inputs.
        units: with ReLU; 0 without one.
        epochs: of training.
        is_diverged: the loss was not finite in the last of them.
    """
    if not units:
        return NO_RELU
    born, died = events["born"], events["died"]
    ways = {
        "by inputs alone": events["revived_by_inputs"],
        "by recycling": events["revived_by_recycling"],
    }
    revived = events["revived_by_weights"] + sum(ways.values())
    birth = _sentence(_of(born, units, "unit", "was", "were") + " born dead")
    if not epochs:
        return birth
    time = f"in {counted(epochs, 'epoch')}"
    changes = f"; {_number(died, 'death')} and {_number(revived, 'revival')} {time}"
    if not died and not revived:
        changes = f", and none died {time}" if not born else f"; none died or came back {time}"
    elif any(ways.values()):
        changes += ", " + " and ".join(
            way if many == revived else f"{many:,} of them {way}"
            for way, many in ways.items()
            if many
        )
    return f"{_diverged(epochs)}. {birth}{changes}" if is_diverged else f"{birth}{changes}"


def firing_title(
    dead: int, always: int, units: int, epoch: int, *, is_diverged: bool = False
) -> str:
    """How many units never fire, and how many always do.

    Args:
        dead: units that fire for no image.
        always: units that fire for every image.
        units: with ReLU; 0 without one.
        epoch: the last one; 0 is before training.
        is_diverged: the loss was not finite in this epoch.
    """
    if not units:
        return "No ReLU, so every unit always passes its value on"
    if is_diverged:
        return _after_divergence(dead, units, epoch)
    when = f"After epoch {epoch}" if epoch else "Before training"
    if not dead and not always:
        fires = _of(units, units, "ReLU unit", "fires", "fire")
        return f"{when}, {fires} for some images and not for others"
    silent = f"{when}, {_of(dead, units, 'ReLU unit', 'is', 'are')} dead"
    if dead == units:
        return silent
    return f"{silent}, and {always or 'none'} always {'fires' if always < 2 else 'fire'}"


def gradient_title(
    is_silent: Cells, is_dead: Cells, epoch: int, *, is_diverged: bool = False
) -> str:
    """How many units got a gradient, of the dead and of the others.

    Args:
        is_silent: which got none in the epoch, shape (units,).
        is_dead: which are dead at its end, shape (units,).
        epoch: which one.
        is_diverged: the loss was not finite in it.
    """
    if is_diverged:
        return f"{_diverged(epoch)}: from then on gradients mean nothing"
    dead, units = int(is_dead.sum()), len(is_dead)
    if not dead or dead == units:
        got = _of(int((~is_silent).sum()), units, "unit", "got", "got")
        state = _of(dead, units, "unit", "is", "are")
        return _sentence(f"{state} dead after epoch {epoch}; {got} a gradient in it")
    got = _of(int((~is_silent[is_dead]).sum()), dead, "dead unit", "got", "got")
    others, did = units - dead, int((~is_silent[~is_dead]).sum())
    if others == 1:
        rest = f"the other one did{'' if did else ' not'}"
    elif did == others:
        rest = f"{_every(others)} others did"
    else:
        rest = f"{did or 'none'} of {others:,} others did"
    return f"In epoch {epoch}, {got} a gradient, and {rest}"


def weights_title(weights: NDArray[np.floating], is_dead: Cells | None) -> str:
    """How large the weights of dead units are, against those of the others.

    Args:
        weights: of the first layer, shape (units, inputs).
        is_dead: which of its units are dead, shape (units,); None where it has no ReLU.
    """
    squares = np.square(weights, dtype=np.float64).mean(axis=1)
    if not np.isfinite(squares).all():
        return "Weights of the first layer are NaN or infinite"
    size = f"the weights' RMS is {_digits(math.sqrt(squares.mean()))}"
    if is_dead is None:
        return f"No ReLU, so no first-layer unit can be dead; {size}"
    dead = int(is_dead.sum())
    count = _sentence(_of(dead, len(is_dead), "first-layer unit", "is", "are")) + " dead"
    if not dead or dead == len(is_dead):
        return f"{count}; {size}"
    theirs, others = (math.sqrt(squares[which].mean()) for which in (is_dead, ~is_dead))
    low, high = sorted((theirs, others))
    if high < _ALIKE * low or high == 0:
        verdict = "as large as the others'"
    elif low == 0:
        verdict = "all 0" if theirs == 0 else "not 0, unlike the others'"
    else:
        ratio = f"{high / low:.1f}" if high < 10 * low else f"{high / low:.0f}"
        ratio = "over 1,000" if high > 1000 * low else ratio
        verdict = f"{ratio} times {'smaller' if theirs == low else 'larger'}"
    whose = "its" if dead == 1 else "their"
    return (
        f"{count}: {whose} weights are {verdict} (RMS {_digits(theirs)} against {_digits(others)})"
    )


def confusion_title(matrix: NDArray[np.integer], names: Sequence[str]) -> str:
    """How many images were predicted correctly, and the most frequent mistake.

    Args:
        matrix: counts, a row for each true class and a column for each prediction.
        names: of the classes.
    """
    total, right = int(matrix.sum()), int(matrix.trace())
    if not total:
        return "No image was predicted"
    if right in {0, total}:
        score = _of(right, total, "image", "was", "were") + " predicted correctly"
    else:
        score = f"{percent(right / total, 1)} of {total:,} images were predicted correctly"
    mistakes = np.where(np.eye(len(matrix), dtype=bool), 0, matrix)
    most = int(mistakes.max())
    if not most:
        return _sentence(score)
    places = np.argwhere(mistakes == most)
    true, predicted = (names[place] for place in places[0])
    times = f"({most:,}\u00a0time{'s' * (most > 1)})"
    if len(places) > 1:
        return _sentence(
            f"{score}; no mistake is more frequent than {true} for {predicted} {times}"
        )
    return _sentence(f"{score}; most often {true} was mistaken for {predicted} {times}")


def alike_title(means: Floats, names: Sequence[str]) -> str:
    """Which two classes have the most similar mean images, by correlation over their pixels.

    Args:
        means: a row for each class, NaN for a class without images, shape (classes, pixels).
        names: of the classes.
    """
    centred = means - means.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(centred, axis=1)
    # A class without images, or with a mean of one grey, correlates with none.
    known = np.flatnonzero(lengths > 0)
    if len(known) < 2:
        return f"No two of {len(names)} classes can be compared"
    unit = centred[known] / lengths[known, None]
    likeness = np.tril(unit @ unit.T, -1) + np.triu(np.full((len(known),) * 2, -math.inf))
    second, first = divmod(int(likeness.argmax()), len(known))
    one, other = (names[int(known[place])] for place in (first, second))
    return (
        f"{one} and {other} are most alike: "
        f"their mean images correlate at {likeness[second, first]:.2f}"
    )


def passes_title(dropped: float, closed: float, *, dead: int, firing: int) -> str:
    """What differs between two passes over the same images with other dropout masks.

    Args:
        dropped: the share of cells that dropout zeroed in one of the passes only.
        closed: the share that ReLU zeroed in one of them only.
        dead: how many units are dead.
        firing: how many of these fired in one of the passes.
    """
    stripes = _of(firing, dead, "dead unit", "fires", "fire") if dead else "no unit is dead"
    return (
        f"Same images twice: dropout differs in {percent(dropped, 0)} of cells, "
        f"ReLU in {percent(closed, 0)}; {stripes}"
    )


def one_pass_title(closed: float, *, dead: int, units: int) -> str:
    """What ReLU does where there is no dropout, so that every pass gives the same.

    Args:
        closed: the share of cells that ReLU zeroes.
        dead: how many units are dead.
        units: how many there are.
    """
    return (
        f"Without dropout every pass is the same: ReLU closes {percent(closed, 0)} of cells; "
        f"{_of(dead, units, 'unit', 'is', 'are')} dead"
    )


def _of(  # noqa: PLR0917 - a sentence reads from left to right
    part: int, whole: int, noun: str, singular: str, plural: str, tail: str = ""
) -> str:
    """Which part of a whole does what: `no unit is`, `3 of 8 units are`, `all 8 units are`."""
    if not part:
        return f"no {noun}{tail} {singular}"
    if whole == 1:
        return f"the only {noun}{tail} {singular}"
    if part == whole:
        return f"{_every(whole)} {noun}s{tail} {plural}"
    return f"{part:,} of {whole:,} {noun}s{tail} {singular if part == 1 else plural}"


def _every(number: int) -> str:
    return "both" if number == 2 else f"all {number:,}"


def _where(counts: Mapping[str, int], units: int) -> str:
    """In which layer the dead units are, or most of them; nothing where that is said already."""
    dead = sum(counts.values())
    there = {name: n for name, n in counts.items() if n}
    if len(counts) == 1 or dead in {0, units}:
        return ""
    name, most = max(there.items(), key=lambda item: item[1])
    if len(there) == 1:
        return f", {'' if dead == 1 else 'both ' if dead == 2 else 'all '}in {name}"
    return f", {most:,} of them in {name}"


def _since_birth(born: Cells, now: Cells) -> str:
    """What became of the units born dead."""
    first, still = int(born.sum()), int((born & now).sum())
    if not first:
        return "; none was born dead" if now.any() else ", and none was born dead"
    if first == 1:
        return f"; the one born dead {'still is' if still else 'fires now'}"
    if still in {0, first}:
        return f"; {_every(first)} born dead {'still are' if still else 'fire now'}"
    woken = first - still
    return f"; of {first:,} born dead, {woken:,} {'fires' if woken == 1 else 'fire'} now"


def _number(count: int, noun: str) -> str:
    return counted(count, noun) if count else f"no {noun}s"


def _after_divergence(dead: int, units: int, epoch: int) -> str:
    """A unit that computes NaN is not called dead."""
    silent = f": now {_of(dead, units, 'unit', 'fires', 'fire')} for no image" if dead else ""
    return f"{_diverged(epoch)}{silent}"


def _diverged(epoch: int) -> str:
    return f"The loss became NaN or infinite in epoch {epoch}"


def _digits(size: float) -> str:
    return f"{size:#.2g}"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
