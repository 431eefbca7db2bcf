"""What a comparison shows about accuracy, as one sentence above its figures."""

from collections.abc import Sequence

from pipeline.comparison.compare import Comparison, Pair
from pipeline.comparison.words import JOINER, count, listed, percent_interval

# More than this are counted, not named.
_NAMED = 4


def headline(comparison: Comparison) -> str:
    """Which group is ahead, and from which others the seeds can tell it.

    It repeats the verdict's judgements and makes none of its own.
    """
    chosen, pairs = comparison.chosen, comparison.against
    if not pairs:
        [group] = comparison.groups
        accuracy = percent_interval(group.estimate("val/accuracy"))
        return f"{accuracy} of the {comparison.validated_on} are predicted correctly"
    if chosen is None:
        return "Accuracy on the test set, by which nothing is chosen"
    name = f"Drop rate {chosen.label}" if comparison.differing == ("drop_rate",) else chosen.label
    seeds = max(pair.difference.count for pair in pairs)
    cannot = f"{count(seeds, 'seed')} cannot tell"
    if seeds < 2:
        why = f"but {cannot}" if seeds else "but no two groups share a seed"
        return f"{name} is ahead, {why}"
    told = [pair for pair in pairs if pair.is_told and pair.difference.mean > 0]
    others = [pair for pair in pairs if pair not in told]
    if not others:
        return f"{name} is better than {_named(told)}"
    if not told:
        return f"{name} is ahead, but {cannot} it from {_named(others)}"
    return f"{name} is better than {_named(told)}; {cannot} it from {_named(others)}"


def _named(pairs: Sequence[Pair]) -> str:
    labels = [pair.second.label for pair in pairs]
    if len(labels) > _NAMED or (len(labels) > 1 and any(JOINER in label for label in labels)):
        return count(len(labels), "other")
    return listed(labels)
