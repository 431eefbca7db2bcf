"""What follows from the numbers, in words, and what does not."""

import math
from collections.abc import Callable, Sequence

from pipeline.comparison.compare import Comparison, Pair
from pipeline.comparison.groups import Group
from pipeline.comparison.notes import notes
from pipeline.comparison.statistics import Estimate, estimate
from pipeline.comparison.words import JOINER, NUMBERS, count, listed, percent_interval

# More than this are counted, not named.
_NAMED = 3

NO_SEEDS = (
    "No two groups share a seed, so none is compared with another and none is chosen: train the "
    "same seeds for each, such as 0-4."
)

_Naming = Callable[[Group], str]


def verdict(comparison: Comparison) -> list[str]:
    """Sentences about which groups are better, by how much, and which cannot be told apart."""
    if len(comparison.groups) == 1:
        found = [_alone(comparison)]
    elif not comparison.seeds:
        found = [NO_SEEDS]
    elif comparison.chosen is None:
        pairs = comparison.neighbours or comparison.against
        judged = _judged(pairs, lambda group: group.label)
        found = [_nothing_chosen(comparison), *judged, *_beyond(pairs, comparison)]
    else:
        found = _chosen(comparison, comparison.chosen)
    return [*found, *notes(comparison)]


def chosen_on_the_test_set(comparison: Comparison) -> str:
    """The one sentence about the test set."""
    chosen = comparison.chosen
    if chosen is None:
        return (
            "Nothing is chosen, and no test accuracy is singled out: the test set was used for "
            "every network."
        )
    tested = estimate([result.test.accuracy for result in chosen.results])
    whose = f"the chosen group, {chosen.label}" if len(comparison.groups) > 1 else chosen.label
    networks = "one network" if tested.count == 1 else f"mean of {count(tested.count, 'network')}"
    return f"Test accuracy of {whose}: {percent_interval(tested)} ({networks})."


def highest(comparison: Comparison) -> str:
    """Who has the highest accuracy, as the beginning of a sentence: one group, or several."""
    tied = [group.label for group in comparison.tied]
    is_rate = comparison.differing == ("drop_rate",)
    is_part = len(comparison.judged) < len(comparison.groups)
    if 1 < len(tied) == len(comparison.judged):
        who = "Both groups" if len(tied) == 2 else f"All {count(len(tied), 'group')}"
        return f"{who} that can be compared" if is_part else who
    who = f"drop rate{'s' * (len(tied) > 1)} {_abridged(tied)}" if is_rate else _abridged(tied)
    if is_part:
        return f"Of {count(len(comparison.judged), 'group')} that can be compared, {who}"
    return who.replace("drop", "Drop", 1) if is_rate else who


def _alone(comparison: Comparison) -> str:
    [group] = comparison.groups
    why = " One seed gives no interval." if group.accuracy.count == 1 else ""
    score = (
        f"{group.label}: {percent_interval(group.accuracy)} of the {comparison.validated_on} "
        f"correct {_over(group.accuracy)}"
    )
    return f"{score}; there is nothing to compare it with.{why}"


def _nothing_chosen(comparison: Comparison) -> str:
    return (
        "Nothing was held out (holdout=0), so the accuracies are those of the test set and "
        "nothing is chosen by them: a choice made on the test set would leave no images to tell "
        "how well it does on new ones. "
        f"The {count(len(comparison.groups), 'group')} are only described."
    )


def _chosen(comparison: Comparison, chosen: Group) -> list[str]:
    """The group that is ahead, and how it compares with the others."""
    score = f"{percent_interval(chosen.accuracy)} {_over(chosen.accuracy)}"
    images, who = comparison.validated_on, highest(comparison)
    lead = f"{who} has the highest accuracy on the {images}: {score}."
    if len(comparison.tied) > 1:
        highest_of = "" if len(comparison.tied) == len(comparison.judged) else ", the highest"
        lead = f"{who} have the same accuracy on the {images}{highest_of}: {score}."
        lead += f" {_why_chosen(comparison, chosen)}"

    def naming(group: Group) -> str:
        """A long name is given once."""
        return "the chosen group" if group is chosen and JOINER in group.label else group.label

    rest = [pair for pair in comparison.neighbours if chosen not in {pair.first, pair.second}]
    return [
        lead,
        *_judged(comparison.against, naming),
        *_told_as_well(rest),
        *_beyond([*comparison.against, *rest], comparison),
    ]


def _why_chosen(comparison: Comparison, chosen: Group) -> str:
    losses = [group.estimate("val/loss").mean for group in comparison.tied]
    least = chosen.estimate("val/loss").mean
    if losses.count(least) == len(losses):
        return f"Their losses are the same as well, so the first of them, {chosen.label}, is taken."
    return f"{chosen.label} is chosen for its smaller loss."


def _told_as_well(neighbours: Sequence[Pair]) -> list[str]:
    """Neighbouring drop rates that can be told apart, the greatest steps first."""
    told = [pair for pair in neighbours if pair.is_told]
    clauses = [
        f"{_winner(pair).label} is better than {_loser(pair).label} by {_size(pair)}"
        for pair in reversed(_nearest(told))
    ]
    if not clauses:
        return []
    more = [f"{len(told) - _NAMED} more are told apart"] if len(told) > _NAMED else []
    return [f"Of neighbouring drop rates, {listed([*clauses[:_NAMED], *more])}."]


def _judged(pairs: Sequence[Pair], naming: _Naming) -> list[str]:
    """Sentences about pairs, those that can be told apart first."""
    told = [pair for pair in pairs if pair.is_told]
    undecided = [pair for pair in pairs if not pair.is_told]
    clauses = _better(told, naming)
    if undecided:
        clauses.append(_undecided(undecided, naming))
    # Up to two clauses make one sentence.
    texts = ["; ".join(clauses)] if len(clauses) == 2 else clauses
    return [f"{_capital(text)}." for text in texts]


def _better(pairs: Sequence[Pair], naming: _Naming) -> list[str]:
    """A clause for each winner: than whom, by how much, over how many seeds."""
    clauses = []
    for winner in dict.fromkeys(map(_winner, pairs)):
        won = _nearest([pair for pair in pairs if _winner(pair) is winner])
        than = [f"than {naming(_loser(pair))} by {_size(pair)}" for pair in won[:_NAMED]]
        if len(won) > _NAMED:
            than.append(f"than {count(len(won) - _NAMED, 'other')} by more")
        clauses.append(
            f"{naming(winner)} is better {listed(than)} over {won[0].difference.count} seeds"
        )
    return clauses


def _undecided(pairs: Sequence[Pair], naming: _Naming) -> str:
    """Which pairs the seeds cannot tell apart, and who is ahead."""
    named = _nearest(pairs)[: _NAMED if len(pairs) > _NAMED + 1 else None]
    first = pairs[0].first
    is_common = all(pair.first is first for pair in pairs)
    if is_common:
        texts = [f"{naming(pair.second)} ({_position(pair)})" for pair in named]
        texts += [f"{len(pairs) - len(named)} more"] if len(named) < len(pairs) else []
        clause = f"cannot tell {naming(first)} from {listed(texts)}"
    else:
        texts = [
            f"{naming(pair.first)} from {naming(pair.second)} ({_position(pair)})" for pair in named
        ]
        texts += [f"{len(pairs) - len(named)} more pairs"] if len(named) < len(pairs) else []
        clause = f"cannot tell {listed(texts)}"
    seeds = pairs[0].difference.count
    why = ", since it gives no interval: train several, such as 0-4" if seeds == 1 else ""
    return f"{count(seeds, 'seed')} {clause}{why}"


def _position(pair: Pair) -> str:
    """Where the second group of a pair stands: `0.20 ± 0.30 points behind`."""
    if not pair.difference.mean:
        return "equal"
    return f"{_size(pair)} {'behind' if pair.difference.mean > 0 else 'ahead'}"


def _beyond(pairs: Sequence[Pair], comparison: Comparison) -> list[str]:
    """For which images the claims about these pairs hold, if there are any."""
    told = [pair for pair in pairs if pair.is_told]
    left = [pair for pair in told if not pair.is_told_beyond]
    these = f"these {comparison.holdout:,} images" if comparison.holdout else "the test images"
    test = "a test that allows for chance in the choice of images as well"
    each, any_of = ("it", "it") if len(told) == 1 else ("each difference", "any difference")
    if not told:
        return []
    if any(math.isnan(pair.beyond) for pair in told):
        found = "other images are not tested, since answers were not kept image by image"
    elif not left:
        return [f"{_capital(test)} confirms {each}."]
    elif len(left) == len(told):
        found = f"{test} cannot confirm {any_of}"
    else:
        texts = [f"{_winner(pair).label} over {_loser(pair).label}" for pair in _nearest(left)]
        held = len(told) - len(left)
        found = f"{test} confirms {held} of {len(told)} differences, but not {_abridged(texts)}"
    return [f'"Better" is meant for {these}; {found}.']


def _abridged(labels: Sequence[str]) -> str:
    if len(labels) <= _NAMED + 1:
        return listed(labels)
    return listed([*labels[:_NAMED], f"{len(labels) - _NAMED} more"])


def _winner(pair: Pair) -> Group:
    return pair.first if pair.difference.mean >= 0 else pair.second


def _loser(pair: Pair) -> Group:
    return pair.second if pair.difference.mean >= 0 else pair.first


def _nearest(pairs: Sequence[Pair]) -> list[Pair]:
    return sorted(pairs, key=lambda pair: abs(pair.difference.mean))


def _size(pair: Pair) -> str:
    value = pair.difference
    size = Estimate(abs(value.mean), value.half_width, value.count)
    return percent_interval(size).replace("%", "points")


def _over(value: Estimate) -> str:
    return f"over {value.count} seeds" if value.count > 1 else "with one seed"


def _capital(sentence: str) -> str:
    """A sentence with a capital; a label keeps its case: `p=0.2`."""
    is_label = not sentence.startswith(
        ("the chosen group", "a test", *(f"{word} seed" for word in NUMBERS))
    )
    return sentence if is_label else f"{sentence[0].upper()}{sentence[1:]}"
