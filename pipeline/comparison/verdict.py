"""What follows from the numbers, in words, and what does not."""

from collections.abc import Callable, Sequence

from pipeline.comparison.compare import Comparison, Pair
from pipeline.comparison.groups import Group
from pipeline.comparison.statistics import Estimate, estimate
from pipeline.comparison.words import JOINER, NUMBERS, count, listed, percent_interval

# More than this are counted, not named.
_NAMED = 3

_Naming = Callable[[Group], str]


def verdict(comparison: Comparison) -> list[str]:
    """Sentences about which groups are better, by how much, and which cannot be told apart."""
    chosen = comparison.chosen
    if len(comparison.groups) == 1:
        return [_alone(comparison)]
    if chosen is None:
        steps = comparison.neighbours or comparison.against
        clauses = _judged(steps, comparison.judged, lambda group: group.label)
        return [_nothing_chosen(comparison), *_sentences(clauses)]
    accuracies = chosen.estimate("val/accuracy")
    name = f"Drop rate {chosen.label}" if comparison.differing == ("drop_rate",) else chosen.label
    lead = (
        f"{name} has the highest accuracy on the {comparison.validated_on}: "
        f"{percent_interval(accuracies)} {_over(accuracies)}."
    )

    def naming(group: Group) -> str:
        """A long name is given once."""
        return "the chosen group" if group is chosen and JOINER in group.label else group.label

    clauses = _judged(comparison.against, comparison.judged, naming)
    rest = [pair for pair in comparison.neighbours if chosen not in {pair.first, pair.second}]
    return [lead, *_sentences(clauses), *_sentences(_told_as_well(rest))]


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


def _alone(comparison: Comparison) -> str:
    [group] = comparison.groups
    accuracies = group.estimate("val/accuracy")
    why = " One seed gives no interval." if accuracies.count == 1 else ""
    score = (
        f"{group.label}: {percent_interval(accuracies)} of the {comparison.validated_on} correct"
    )
    return f"{score} {_over(accuracies)}; there is nothing to compare it with.{why}"


def _nothing_chosen(comparison: Comparison) -> str:
    return (
        "Nothing was held out (holdout=0), so the accuracies are those of the test set and "
        "nothing is chosen by them: a choice made on the test set would leave no images to tell "
        "how well it does on new ones. "
        f"The {count(len(comparison.groups), 'group')} are only described."
    )


def _told_as_well(neighbours: Sequence[Pair]) -> list[str]:
    """A clause for neighbouring drop rates that can be told apart, the greatest steps first."""
    told = [pair for pair in neighbours if pair.is_told]
    clauses = [
        f"{_winner(pair).label} is better than {_loser(pair).label} by {_size(pair)}"
        for pair in reversed(_nearest(told))
    ]
    if not clauses:
        return []
    more = [f"{len(told) - _NAMED} more are told apart"] if len(told) > _NAMED else []
    return [f"Of neighbouring drop rates, {listed([*clauses[:_NAMED], *more])}"]


def _judged(pairs: Sequence[Pair], judged: int, naming: _Naming) -> list[str]:
    """Clauses about pairs, those that can be told apart first."""
    told = [pair for pair in pairs if pair.is_told]
    hinted = [pair for pair in pairs if pair.is_told_alone and not pair.is_told]
    several = [pair for pair in pairs if pair.difference.count > 1]
    undecided = [pair for pair in several if not (pair.is_told or pair.is_told_alone)]
    single = [pair for pair in pairs if pair.difference.count == 1]
    apart = [pair for pair in pairs if pair.difference.count == 0]
    clauses = _better(told, "is better", naming)
    chance = f", but not by more than chance allows among {judged} pairs"
    clauses += [f"{clause}{chance}" for clause in _better(hinted, "looks better", naming)]
    clauses += _undecided(undecided, naming)
    if single:
        clauses += [_single(single, naming)]
    if apart:
        clauses += [f"{_sides(apart, naming)} there is no seed in common, so no paired difference"]
    return clauses


def _better(pairs: Sequence[Pair], claim: str, naming: _Naming) -> list[str]:
    """A clause for each winner and number of seeds: than whom, and by how much."""
    clauses = []
    sides = [(naming(_winner(pair)), pair.difference.count) for pair in pairs]
    for winner, seeds in dict.fromkeys(sides):
        won = _nearest(
            [pair for pair, side in zip(pairs, sides, strict=True) if side == (winner, seeds)]
        )
        than = [f"than {naming(_loser(pair))} by {_size(pair)}" for pair in won[:_NAMED]]
        if len(won) > _NAMED:
            than.append(f"than {count(len(won) - _NAMED, 'other')} by more")
        words = f"{winner} {claim} {listed(than)}"
        clauses.append(
            f"{words} over {seeds} seeds" if len(won) == 1 else f"over {seeds} seeds {words}"
        )
    return clauses


def _undecided(pairs: Sequence[Pair], naming: _Naming) -> list[str]:
    clauses = []
    for seeds in dict.fromkeys(pair.difference.count for pair in pairs):
        equal = [pair for pair in pairs if pair.difference.count == seeds]
        size = f" ({_size(equal[0])})" if len(equal) == 1 else ""
        clauses.append(f"{count(seeds, 'seed')} cannot decide {_sides(equal, naming)}{size}")
    return clauses


def _single(pairs: Sequence[Pair], naming: _Naming) -> str:
    ahead = ""
    if len(pairs) == 1:
        [pair] = pairs
        ahead = f": {naming(_winner(pair))} is ahead of {naming(_loser(pair))} by {_size(pair)}"
        ahead += ", which may be chance"
    return (
        f"one seed cannot decide {_sides(pairs, naming)}, since it gives no interval{ahead}; "
        "train several seeds, such as 0-4"
    )


def _sides(pairs: Sequence[Pair], naming: _Naming) -> str:
    """`between 0.2 and 0.5`, or `between 0.2 and each of …`, or pair by pair; the nearest named."""
    named = pairs if len(pairs) <= _NAMED + 1 else _nearest(pairs)
    if len({pair.first for pair in named}) == 1 and len(named) > 1:
        others = [naming(pair.second) for pair in named]
        return f"between {naming(named[0].first)} and each of {_abridged(others)}"
    sides = [f"{naming(pair.second)} and {naming(pair.first)}" for pair in named]
    return f"between {_abridged(sides)}"


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


def _sentences(clauses: Sequence[str]) -> list[str]:
    """One sentence for up to two clauses, otherwise one for each."""
    sentences = ["; ".join(clauses)] if 0 < len(clauses) < 3 else clauses
    # A label keeps its case: `p=0.2`.
    words = ("between ", "over ", "the ", *(f"{number} seed" for number in NUMBERS))
    return [
        f"{text[0].upper() if text.startswith(words) else text[0]}{text[1:]}." for text in sentences
    ]
