"""A gate's verdict: that the model passed and by what figures, or why it did not."""

from dataclasses import dataclass

from pipeline.errors import PipelineError


@dataclass(frozen=True, kw_only=True)
class GateResult:
    """A gate that the model passed.

    Attributes:
        gate: its name.
        found: the figures, in words.
        is_forced: it would have refused, and force=true overrode it.
    """

    gate: str
    found: str
    is_forced: bool = False


class GateError(PipelineError):
    """A gate that refused the model."""

    def __init__(self, gate: str, *, rule: str, found: str, remedy: str) -> None:
        """Put the gate's name before the line.

        Args:
            gate: its name.
            rule: what must hold.
            found: what was found.
            remedy: what to do.
        """
        super().__init__(f"gate {gate!r}: {rule}, got {found}: {remedy}")
        self.gate = gate
        self.found = found


def gap_in_words(gap: float) -> str:
    """How far two arrays of logits are apart, in words."""
    return f"at most {gap:.1g} apart" if gap else "identical"
