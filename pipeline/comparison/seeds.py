"""Which groups are judged together, and by which seeds."""

from collections import Counter
from collections.abc import Sequence


def common_seeds(seeds: Sequence[Sequence[int]]) -> tuple[list[int], list[int]]:
    """The places of the groups that are judged together, and the seeds that all of them have.

    All groups, if they share two seeds. If not, those that have the fewest seeds in common with
    others are left out one by one until two are shared, or else one. Without two groups that share
    a seed both lists are empty.

    Args:
        seeds: of each group.
    """
    for least in (2, 1):
        places = list(range(len(seeds)))
        counts = Counter(seed for group in seeds for seed in group)
        while len(places) > (len(seeds) > 1):
            shared = sorted(seed for seed, count in counts.items() if count == len(places))
            if len(shared) >= least:
                return places, shared
            links = {place: sum(counts[seed] - 1 for seed in seeds[place]) for place in places}
            # Of several the last.
            odd = min(reversed(places), key=links.__getitem__)
            places.remove(odd)
            counts.subtract(seeds[odd])
    return [], []
