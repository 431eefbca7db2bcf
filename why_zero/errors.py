"""What the instrument raises: each message is one line, rule, what was given, what to do."""

IDENTITIES = {
    1: "active + dropped + inactive + both = pairs, and the last three are the zeros",
    2: "zero rate = s + p - s p, with s from the same pass",
    3: "dropped among z > 0, and both among z <= 0, are Binomial(count, p)",
    4: "y / h = 1 / (1 - p) for survivors, y = 0 for dropped units",
    5: "relu(dropout(z)) = dropout(relu(z)) for the same mask",
    6: "the mean output of a linear network over all masks is its evaluation output",
    7: "dy/dh = m / (1 - p)",
    8: "the gradients of a unit that is closed for every sample are exactly 0",
    9: "under plain SGD on fixed samples a dead unit of the first layer stays dead",
    10: "states are those of z: fired counts z > 0, and mean |h| is the mean of max(z, 0)",
    11: "the changes of weights and biases, squared, add up to those of the units",
    12: "an epoch sees every sample once, with its own input and label",
    13: "a network's masks are those of its own seed, layer and epoch",
    14: "behind an activation that is no ReLU h is what its function gives for z",
    15: "the weights that are kept give the validation loss that their epoch recorded",
}
_MOST_LETTERS = 200


class WhyZeroError(Exception):
    """A failure that its message explains in one line: the rule, what was given, what to do."""


class BrokenIdentity(WhyZeroError):  # noqa: N818 a claim, like Interrupted
    """A measurement that contradicts itself: the instrument is wrong, so nothing may be logged.

    Attributes:
        layer: where.
        identity: its number in `IDENTITIES`.
        expected: what the identity asks for.
        observed: what was measured.
    """

    def __init__(self, layer: str, identity: int, *, expected: object, observed: object) -> None:
        """Say it in one line."""
        super().__init__(
            f"identity {identity} must hold in layer {layer} ({IDENTITIES[identity]}), "
            f"expected {expected}, observed {observed}: discard this measurement and report it"
        )
        self.layer, self.identity = layer, identity
        self.expected, self.observed = expected, observed


def in_one_line(error: BaseException) -> str:
    """The type of somebody else's error and what it says, in one line that is not too long."""
    said = " ".join(str(error).split())
    cut = f"{said[:_MOST_LETTERS]}…" if len(said) > _MOST_LETTERS else said
    return f"{type(error).__name__}: {cut}" if cut else type(error).__name__
