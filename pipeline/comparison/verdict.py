"""What follows from the numbers, in words, and where they do not suffice.

It must not compute: every number in it stands in the standings.
"""

from collections.abc import Sequence

from pipeline.comparison import measures
from pipeline.comparison.groups import Contest, Group
from pipeline.comparison.standings import Pair, Standings
from pipeline.comparison.statistics import Estimate, estimate
from pipeline.comparison.words import count, listed, percent_interval

# More than this are counted, not named.
_NAMED = 3


def verdict(standings: Standings) -> list[str]:
    """Sentences about who is better, by how much, and who cannot be told apart."""
    contest, chosen = standings.contest, standings.chosen
    if len(contest.groups) == 1:
        return [_alone(contest)]
    if chosen is None:
        steps = standings.neighbours or standings.against
        return [_nothing_chosen(contest), *_sentences(_judged(steps, standings.judged))]
    accuracies = estimate(chosen.values(measures.accuracy))
    name = f"Drop rate {chosen.label}" if contest.differing == ("drop_rate",) else chosen.label
    lead = (
        f"{name} has the highest accuracy on the {contest.validated_on}: "
        f"{percent_interval(accuracies)} {_over(accuracies)}."
    )
    return [lead, *_sentences(_judged(standings.against, standings.judged))]


def chosen_on_the_test_set(standings: Standings) -> str:
    """The one sentence about the test set."""
    chosen, contest = standings.chosen, standings.contest
    if chosen is None:
        return (
            "Nothing is chosen, and no test accuracy is set apart: the test set has been looked "
            "at for every network."
        )
    tested = estimate(chosen.values(lambda result: result.test.accuracy))
    whose = f"the chosen group, {chosen.label}" if len(contest.groups) > 1 else chosen.label
    networks = "one network" if tested.count == 1 else f"mean of {count(tested.count, 'network')}"
    return f"Test accuracy of {whose}: {percent_interval(tested)} ({networks})."


def _alone(contest: Contest) -> str:
    [group] = contest.groups
    accuracies = estimate(group.values(measures.accuracy))
    why = " One seed gives no interval." if accuracies.count == 1 else ""
    said = f"{group.label}: {percent_interval(accuracies)} of the {contest.validated_on} right"
    return f"{said} {_over(accuracies)}; there is nothing to compare it with.{why}"


def _nothing_chosen(contest: Contest) -> str:
    return (
        "Nothing was held out (holdout=0), so the accuracies are those of the test set and "
        "nothing is chosen by them: whoever chose by the test set could no longer say how well "
        f"the choice does on new images. The {count(len(contest.groups), 'group')} are described."
    )


def _judged(pairs: Sequence[Pair], judged: int) -> list[str]:
    """Clauses about pairs, those that can be told apart first."""
    told = [pair for pair in pairs if pair.is_told]
    hinted = [pair for pair in pairs if pair.is_told_alone and not pair.is_told]
    several = [pair for pair in pairs if pair.difference.estimate.count > 1]
    undecided = [pair for pair in several if not (pair.is_told or pair.is_told_alone)]
    single = [pair for pair in pairs if pair.difference.estimate.count == 1]
    apart = [pair for pair in pairs if pair.difference.estimate.count == 0]
    clauses = _better(told, "is better")
    chance = f", but not beyond what chance does among {judged} pairs"
    clauses += [f"{clause}{chance}" for clause in _better(hinted, "looks better")]
    clauses += _undecided(undecided)
    if single:
        clauses += [_single(single)]
    if apart:
        clauses += [f"{_sides(apart)} there is no seed in common, so no paired difference"]
    return clauses


def _better(pairs: Sequence[Pair], claim: str) -> list[str]:
    """A clause for each winner and number of seeds: than whom, and by how much."""
    clauses = []
    sides = [(_winner(pair).label, pair.difference.estimate.count) for pair in pairs]
    for winner, seeds in dict.fromkeys(sides):
        own = _nearest(
            [pair for pair, side in zip(pairs, sides, strict=True) if side == (winner, seeds)]
        )
        than = [f"than {_loser(pair).label} by {_size(pair)}" for pair in own[:_NAMED]]
        if len(own) > _NAMED:
            than.append(f"than {count(len(own) - _NAMED, 'other')} by more")
        words = f"{winner} {claim} {listed(than)}"
        clauses.append(
            f"{words} over {seeds} seeds" if len(own) == 1 else f"over {seeds} seeds {words}"
        )
    return clauses


def _undecided(pairs: Sequence[Pair]) -> list[str]:
    clauses = []
    for seeds in dict.fromkeys(pair.difference.estimate.count for pair in pairs):
        own = [pair for pair in pairs if pair.difference.estimate.count == seeds]
        size = f" ({_size(own[0])})" if len(own) == 1 else ""
        clauses.append(f"{_sides(own)} {count(seeds, 'seed')} cannot tell{size}")
    return clauses


def _single(pairs: Sequence[Pair]) -> str:
    ahead = ""
    if len(pairs) == 1:
        [pair] = pairs
        ahead = f": {_winner(pair).label} is ahead of {_loser(pair).label} by {_size(pair)}"
        ahead += ", which may be chance"
    return (
        f"{_sides(pairs)} one seed cannot tell, since it gives no interval{ahead}; "
        "several seeds, such as 0-4, can"
    )


def _sides(pairs: Sequence[Pair]) -> str:
    """`between 0.2 and 0.5`, or `between 0.2 and each of …`, or pair by pair."""
    if len({pair.one.label for pair in pairs}) == 1 and len(pairs) > 1:
        others = [pair.other.label for pair in pairs]
        return f"between {pairs[0].one.label} and each of {_some(others)}"
    return f"between {_some([f'{pair.other.label} and {pair.one.label}' for pair in pairs])}"


def _some(labels: Sequence[str]) -> str:
    if len(labels) <= _NAMED + 1:
        return listed(labels)
    return listed([*labels[:_NAMED], f"{len(labels) - _NAMED} more"])


def _winner(pair: Pair) -> Group:
    return pair.one if pair.difference.estimate.mean >= 0 else pair.other


def _loser(pair: Pair) -> Group:
    return pair.other if pair.difference.estimate.mean >= 0 else pair.one


def _nearest(pairs: Sequence[Pair]) -> list[Pair]:
    return sorted(pairs, key=lambda pair: abs(pair.difference.estimate.mean))


def _size(pair: Pair) -> str:
    value = pair.difference.estimate
    size = Estimate(abs(value.mean), value.half_width, value.count)
    return percent_interval(size).replace("%", "points")


def _over(value: Estimate) -> str:
    return f"over {value.count} seeds" if value.count > 1 else "with one seed"


def _sentences(clauses: Sequence[str]) -> list[str]:
    """One sentence of two clauses, or one of each."""
    sentences = ["; ".join(clauses)] if len(clauses) < 3 else clauses
    # A label stays as it is: `p=0.2`.
    return [
        f"{text[0].upper() if text.startswith(('between', 'over')) else text[0]}{text[1:]}."
        for text in sentences
    ]
