"""What can be tried about zeros: each rule is given what was counted, and gives advice or none."""

from dataclasses import dataclass

from why_zero._compact import Compacted
from why_zero.records import UnexplainedZeros, UnitStates, WatchedLayer
from why_zero.report.text import counted

# Fewer samples say little of what a unit never does, or always.
ENOUGH_SAMPLES = 30
# The shares and rates at which a rule speaks: conventions, no results.
MANY_DEAD = 0.1
HIGH_DROP_RATE = 0.5
SELDOM_FIRING = 0.3
MANY_UNEXPLAINED = 0.01
THE_INPUT = "the module's input"


@dataclass(frozen=True, kw_only=True)
class Advice:
    """What was seen, what it may mean and what to try.

    Attributes:
        saw: a sentence with the figures that the advice rests on.
        may_mean: what can be behind it.
        to_try: what can be done about it.
        is_harmless: whether it is said lest someone look for a fault where there is none.
    """

    saw: str
    may_mean: str
    to_try: str
    is_harmless: bool = False


@dataclass(frozen=True, kw_only=True)
class Owner:
    """A module whose weights make units, and which of these are dead.

    Attributes:
        path: of the module.
        kind: its class.
        units: how many it makes.
        dead: which of them are dead over the reference set.
        low_biases: how many of the dead ones have a bias below 0 and below that of every living
            one; None where there are no biases or no living unit.
    """

    path: str
    kind: str
    units: int
    dead: tuple[int, ...]
    low_biases: int | None


def not_finite(set_aside: int, passes: int) -> Advice | None:
    """Some passes held NaN or infinity, and were not counted."""
    if not set_aside:
        return None
    return Advice(
        saw=f"{set_aside} of {passes} passes held NaN or infinity, and were not counted.",
        may_mean="The samples hold such values, or the network makes them of large ones.",
        to_try="Test the samples and the weights with torch.isfinite. If they are finite, look for "
        "the first layer that gives NaN or infinity.",
    )


def many_dead(owner: Owner, samples: int) -> Advice | None:
    """Many units of one module are dead."""
    dead = len(owner.dead)
    if samples < ENOUGH_SAMPLES or dead < MANY_DEAD * owner.units or not dead:
        return None
    saw = (
        f"{dead} of the {owner.units} units of {owner.path} ({dead / owner.units:.1%}) "
        f"never fire for the {samples:,} samples."
    )
    too_late = (
        "They may have died in training, or have been dead from the start: one state of a network "
        "cannot tell these apart. They may also fire for other samples."
    )
    watch = "To see when units die, take the census of several states of training."
    if owner.low_biases and 2 * owner.low_biases >= dead:
        return Advice(
            saw=f"{saw} {owner.low_biases} of them have a bias below 0 that is lower than that of "
            "every living unit.",
            may_mean=f"Large steps may have pushed these biases down. {too_late}",
            to_try="A lower learning rate or a warm-up, biases that start at 0 with He "
            f"initialisation, or a ReLU with a slope below 0 (leaky ReLU). {watch}",
        )
    return Advice(
        saw=saw,
        may_mean=too_late,
        to_try="He initialisation, inputs that are centred and scaled, a lower learning rate, or a "
        f"ReLU with a slope below 0 (leaky ReLU). {watch}",
    )


def removable(compacted: Compacted, samples: int) -> Advice | None:
    """Dead units can be removed, and the outputs over the reference set stay the same."""
    removed = sum(map(len, compacted.removed.values()))
    if samples < ENOUGH_SAMPLES or not removed:
        return None
    before, after = compacted.parameters_before, compacted.parameters_after
    units = counted(removed, "dead unit")
    largest = compacted.largest_difference
    same = f"differ by at most {largest:.2g}, a rounding" if largest else "are the same"
    return Advice(
        saw=f"Without {units} the network has {after:,} parameters instead of {before:,} "
        f"({(before - after) / before:.1%} fewer), and its outputs for these samples {same}.",
        may_mean="The network may be larger than it has to be. For other samples its outputs may "
        "change, where such a unit would fire.",
        to_try="why_zero.compact gives you the smaller network; held_out= says what changes for "
        "samples that were not used here.",
    )


def sparse_dropout(layer: WatchedLayer) -> Advice | None:
    """A high drop rate behind a ReLU that lets little through."""
    causes = layer.causes
    if not (layer.has_hard_zeros and causes.pairs and layer.drop_rate >= HIGH_DROP_RATE):
        return None
    firing = int((causes.active + causes.dropped).sum()) / causes.pairs
    if firing > SELDOM_FIRING:
        return None
    return Advice(
        saw=f"In {layer.name} the ReLU lets {firing:.1%} of the values through, and dropout "
        f"follows with p\xa0=\xa0{layer.drop_rate:g}: {causes.zero_share:.1%} of them are zero in "
        "training mode.",
        may_mean="Few units carry each sample, so that gradients may be noisy and learning slow. "
        "It can also be what you want: a strong regulariser.",
        to_try="A lower drop rate here; let the accuracy on held-out samples decide.",
    )


def starved(name: str, states: UnitStates, samples: int) -> Advice | None:
    """Units fire, and no gradient comes back to them."""
    count = int(states.starved.sum())
    if samples < ENOUGH_SAMPLES or not count:
        return None
    return Advice(
        saw=f"{count} of the {len(states.fired)} units of {name} fire, and for none of the samples "
        "does a gradient reach them.",
        may_mean="What reads them may be closed whenever they fire, or have weights of exactly 0. "
        "They do not learn from these samples.",
        to_try="Look for dead units in the layers behind this one first: these are a consequence.",
    )


def linear(name: str, states: UnitStates, samples: int) -> Advice | None:
    """Each unit of a ReLU layer is always on, or always off: the layer is linear."""
    always_on, dead = int(states.always_on.sum()), int(states.dead.sum())
    is_linear = always_on and always_on + dead == len(states.fired)
    # relu6 bends at 6 too.
    if states.activation != "relu" or samples < ENOUGH_SAMPLES or not is_linear:
        return None
    others = f", and the other {dead} for none" if dead else ""
    return Advice(
        saw=f"{always_on} of the {len(states.fired)} units of {name} are above 0 for each of the "
        f"{samples:,} samples{others}.",
        may_mean="For these samples the ReLU bends nothing, unless it has an upper limit too: the "
        "layer is a linear one, which could be merged with its neighbours.",
        to_try="Inputs that are centred and scaled, or biases that start at 0; or leave the layer "
        "out, and see whether anything is lost.",
    )


def dropped_in_evaluation(layer: WatchedLayer) -> Advice | None:
    """Dropout is at work in evaluation mode."""
    dropped = layer.causes.share("dropped") + layer.causes.share("both")
    if not dropped > 0:
        return None
    return Advice(
        saw=f"In evaluation mode {dropped:.1%} of the values of {layer.name} are dropped.",
        may_mean="F.dropout drops unless it is told otherwise, so that answers may be random where "
        "they should not be. If you want Monte Carlo dropout, it is as it should be.",
        to_try="F.dropout(x, p, training=self.training), or nn.Dropout.",
    )


def zeros_from(left: UnexplainedZeros) -> Advice | None:
    """Zeros that no layer accounts for: of the data, or of a call that is not known."""
    if left.share < MANY_UNEXPLAINED:
        return None
    saw = f"{left.share:.1%} of the values that reach {left.seen_at} are zeros "
    if left.made_by == THE_INPUT:
        return Advice(
            saw=f"{saw}that come in with the data.",
            may_mean="They are not the network's: black pixels, padding or one-hot codes may look "
            "so.",
            to_try="Nothing, if your data are meant to hold zeros.",
            is_harmless=True,
        )
    return Advice(
        saw=f"{saw}that {left.made_by} makes, and no rule explains them.",
        may_mean="It may be a mask that the network multiplies by, stochastic depth, or padding: "
        "then they are meant.",
        to_try="Look at this call. A dropout that is written as nn.Dropout or F.dropout is counted "
        "as such.",
    )
