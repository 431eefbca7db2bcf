"""What a comparison shows about accuracy, as one sentence above its figures."""

from collections.abc import Sequence

from pipeline.comparison.compare import Comparison, Pair
from pipeline.comparison.verdict import highest
from pipeline.comparison.words import JOINER, count, listed, percent_interval

# More than this are counted, not named.
_NAMED = 4


def headline(comparison: Comparison) -> str:
    """Which group is ahead, and from which others the seeds can tell it.

    It repeats the verdict's judgements and makes none of its own.
    """
    if len(comparison.groups) == 1:
        accuracy = percent_interval(comparison.groups[0].accuracy)
        return f"{accuracy} of the {comparison.validated_on} are predicted correctly"
    if not comparison.seeds:
        return "Accuracy of groups that share no seed, so none is compared with another"
    if comparison.chosen is None:
        return "Accuracy on the test set, by which nothing is chosen"
    if len(comparison.tied) > 1:
        is_all = len(comparison.tied) == len(comparison.judged)
        return f"{highest(comparison)} have the same accuracy{'' if is_all else ', the highest'}"
    return _ahead(comparison)


def _ahead(comparison: Comparison) -> str:
    """The one group with the highest accuracy, against the others."""
    name, seeds = highest(comparison), count(len(comparison.seeds), "seed")
    told = [pair for pair in comparison.against if pair.is_told]
    others = [pair for pair in comparison.against if not pair.is_told]
    if not told:
        whom = f" it from {_named(others)}" if len(comparison.seeds) > 1 else ""
        return f"{name} is ahead, but {seeds} cannot tell{whom}"
    better = f"{name} is better than {_named(told)}"
    return f"{better}; {seeds} cannot tell it from {_named(others)}" if others else better


def _named(pairs: Sequence[Pair]) -> str:
    labels = [pair.second.label for pair in pairs]
    if len(labels) > _NAMED or (len(labels) > 1 and any(JOINER in label for label in labels)):
        return count(len(labels), "other")
    return listed(labels)
