"""The report's text besides the verdict: how it was computed, and what the networks share."""

import math

from pipeline import plots
from pipeline.comparison.compare import Comparison
from pipeline.comparison.devices import DevicePair
from pipeline.comparison.groups import TRAITS, traits
from pipeline.comparison.measures import layer_names
from pipeline.comparison.statistics import (
    FEWEST_OTHERS,
    SHARED,
    highest_unseen_rate,
    share_of_next,
)
from pipeline.comparison.tables import heading
from pipeline.comparison.words import count, listed, trait
from pipeline.records.words import counted

ZEROS = (
    "Shares of all (sample, unit) pairs in the training passes that were watched, in the epoch "
    "whose weights were kept. If dropout is independent of what ReLU closes, the share of zeros "
    "is s + p - s p, with s the share that ReLU closed in the same passes and p the drop rate."
)
STATES = (
    "Over all images trained on, in evaluation mode, with the kept weights. Dead: z <= 0 for every "
    "image. Dormant but alive: it fires, yet its mean activation is at most 0.025 times its "
    "layer's mean. Born dead: dead before the first update."
)
COST = (
    "The median epoch of each network, averaged over the networks of a group. Networks that were "
    "trained together share their stack's time equally; the memory is that of the whole process, "
    "or of the GPU."
)
DEVICES = (
    "Networks with the same recipe and seed start from the same weights and see the same batches "
    "on every device, so before training they differ only by rounding. Masks are drawn on the "
    "device: where the generators give different numbers, training differs by more than rounding."
)


def has_seeds(comparison: Comparison) -> bool:
    """Whether any group has more than one seed."""
    return any(len(group.results) > 1 for group in comparison.groups)


def method(comparison: Comparison) -> str:
    """What stands behind a ±, or why there is none."""
    if not has_seeds(comparison):
        told = ", so no group can be told from another" if len(comparison.groups) > 1 else ""
        return f"One seed gives no interval{told}."
    widened = ""
    if comparison.chosen and comparison.chosen.chosen_from > 1:
        widened = (
            " The highest of several means is on average too high, so the chosen group's interval "
            f"is widened to hold although the group was chosen from "
            f"{comparison.chosen.chosen_from} (Bonferroni)."
        )
    return (
        "Mean ± half width of a 95 % interval of the mean over seeds (Student's t, n - 1 degrees "
        f"of freedom); a single seed has none, nor do seeds that all agree.{widened}"
    )


def seeds(comparison: Comparison) -> str:
    """What seeds stand for, and what an interval over them says and does not say."""
    many = max(len(group.accuracies) for group in comparison.groups)
    over = count(many, "seed")
    return (
        "Seeds are the replicates: each seed means different initial weights, batch order and "
        "dropout masks on the same data. An interval says how well these seeds determine the mean: "
        f"one over {over} that is not widened holds the next network in "
        f"{100 * share_of_next(many):.0f} of 100 cases. The column of another seed has the range "
        "that holds it in about 95 (a prediction interval). Both take accuracies as normal, and "
        f"{over} without a failure leave room for networks that fail in up to "
        f"{100 * highest_unseen_rate(many):.0f} of 100 cases. Neither speaks of other images."
    )


def tests(comparison: Comparison) -> str:
    """How groups are compared, and why over the same seeds."""
    if len(comparison.seeds) < 2:
        return "One seed gives no interval, so none of these differences can be told from chance."
    if not comparison.tested:
        return "Seeds that all agree give no interval, so no difference can be told from chance."
    where = " where their widths agree" if "widths" in comparison.differing else ""
    family = (
        "its only pair" if comparison.tested == 1 else f"all {comparison.tested} pairs of groups"
    )
    images = ""
    if any(not math.isnan(pair.beyond) for pair in comparison.against):
        images = (
            " The last column allows for chance in the choice of images as well, by the variance "
            "of the difference over images."
        )
    typical = ""
    if len(comparison.judged) >= FEWEST_OTHERS + 2:
        typical = (
            f"; {100 * SHARED:.0f} % of the variance is the typical one of the other groups, since "
            f"{count(len(comparison.seeds), 'seed')} alone tell little about their own"
        )
    return (
        "Groups are compared over the same seeds by Welch's t test, which lets every group vary as "
        f"it does{typical}. Networks with the same seed see the images in the same order and start "
        f"from the same weights{where}; the test takes them as independent, so where that makes "
        "them alike it is the more careful. The more pairs are tested, the more of them differ by "
        f"chance, so p values and intervals are corrected for {family} (Holm 1979, Shaffer 1986), "
        "shown or not: with at least 95 % certainty, no pair is told apart by chance alone. That "
        "takes accuracies as roughly symmetric: where a group has a long tail of worse networks, "
        "which its few seeds may not show, it is up to 12 comparisons in 100 instead of 5. Two "
        "groups are told apart just where the interval of their difference excludes 0 (filled "
        f"dots).{images} The effect size is Hedges' g, the difference over the typical standard "
        "deviation of both groups."
    )


def marks(comparison: Comparison) -> str:
    """What the figures of accuracies show."""
    curves = len(comparison.combinations) if comparison.has_rates else 0
    dots = "Marks" if curves > 1 else "Dots"
    if not has_seeds(comparison):
        return f"{dots}: single networks."
    singles = "; hollow marks: single networks" if 0 < curves < plots.CROWD else ""
    return f"{dots}: means with their intervals{singles}."


def question(comparison: Comparison, *, is_one_of_several: bool) -> str:
    """The question that a comparison answers."""
    asked = "Which networks are better?"
    if len(comparison.groups) == 1:
        many = len(comparison.results)
        asked = "What does this network do?" if many == 1 else "What do these networks do?"
    elif comparison.differing == ("drop_rate",):
        asked = "Which drop rate, and what does it do to the units?"
    elif len(comparison.differing) == 1:
        asked = f"Which {heading(comparison)}?"
    elif comparison.has_rates:
        others = [name for name in comparison.differing if name != "drop_rate"]
        asked = f"Which drop rate, and which {listed(_names(others))}?"
    if not is_one_of_several:
        return asked
    return f"{comparison.dataset}, validated on {_images(comparison)}: {asked}"


def summary(comparison: Comparison) -> str:
    """How many networks and groups there are, on which data."""
    seeds = sorted({len(group.results) for group in comparison.groups})
    each = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    replicates = "seed" if seeds[-1] == 1 else "seeds"
    return (
        f"{counted(len(comparison.results), 'network')} in "
        f"{count(len(comparison.groups), 'group')} of {each} {replicates}, data set "
        f"{comparison.dataset}, judged on {_images(comparison)}"
    )


def common(comparison: Comparison) -> str:
    """The settings that all groups share, in words."""
    every = [traits(group.first) for group in comparison.groups]
    alike = [
        trait(name, every[0][name])
        for name in TRAITS
        if name != "device" and all(values[name] == every[0][name] for values in every)
    ]
    return f"data set {comparison.dataset}, holdout {comparison.holdout}, {', '.join(alike)}"


def left_out(comparison: Comparison) -> list[str]:
    """A sentence about networks that were there more than once, if there were any."""
    if not comparison.repeated:
        return []
    were = "was" if comparison.repeated == 1 else "were"
    many = f"{count(comparison.repeated, 'network').capitalize()} {were} left out"
    return [f"{many}: of networks with the same recipe, data and device only the newest counts."]


def no_zeros(comparison: Comparison) -> str:
    """Why there are no causes of zeros to show."""
    if any(layer.causes.pairs for result in comparison.results for layer in result.chosen.layers):
        return "No activation was zero in the training passes that were watched."
    return "No training pass was watched (probe_every=0), so the causes of zeros are not known."


def identity(comparison: Comparison) -> str:
    """How well s + p - s p holds where training passes were watched."""
    gaps = [
        abs(group.values(f"zero/{layer}") - group.values(f"zero_expected/{layer}"))
        for layer in layer_names(comparison.results)
        for group in comparison.groups
    ]
    known = [gap for values in gaps for gap in values.tolist() if not math.isnan(gap)]
    return (
        "The line is s + p - s p. No layer of any network is more than "
        f"{100 * max(known):.2f} points away from it. Masks are random, so zeros scatter around "
        "the line; a network whose zeros break the identity fails during training."
    )


def device_sentence(pair: DevicePair) -> str:
    """The ratio of the speeds, and how many networks it comes from."""
    ours, theirs = (listed([str(size) for size in sizes]) for sizes in pair.stack_sizes)
    stacks = f"stacks of {ours} and {theirs}" if ours != theirs else f"stacks of {ours}"
    many = f"{count(pair.networks, 'network')} with equal recipes ({stacks})"
    if math.isnan(pair.speed_ratio):
        return f"{pair.first} and {pair.second}: {many}; nothing was trained, so there is no speed."
    fast, slow, ratio = pair.second, pair.first, pair.speed_ratio
    if ratio < 1:
        fast, slow, ratio = slow, fast, 1 / ratio
    return f"{fast} trains {ratio:.3g} times as fast as {slow}: {many}."


def _images(comparison: Comparison) -> str:
    if comparison.holdout:
        return f"{comparison.holdout:,} held-out training images"
    return "the test set (nothing was held out)"


def _names(names: list[str]) -> list[str]:
    return [name.replace("_", " ").removesuffix(" name") for name in names]
