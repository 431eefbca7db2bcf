"""What must hold for a network before it is registered: one function per gate.

They read and compare; they must not write to the registry.
"""

from collections.abc import Iterator

from pipeline.registry.gates.agreement import answers_twice_alike, same_accuracy, same_logits
from pipeline.registry.gates.candidate import Candidate, load_candidate
from pipeline.registry.gates.incumbent import Incumbent, find_incumbent, not_worse
from pipeline.registry.gates.isolation import Isolation, ask, loads_alone
from pipeline.registry.gates.result import GateError, GateResult
from pipeline.registry.gates.signature import signature_holds
from pipeline.registry.selection import Selection

__all__ = [
    "Candidate",
    "GateError",
    "GateResult",
    "Incumbent",
    "Isolation",
    "find_incumbent",
    "load_candidate",
    "run_gates",
]


def run_gates(
    candidate: Candidate,
    selection: Selection,
    *,
    holder: Incumbent | None,
    margin: float,
    is_forced: bool,
    isolation: Isolation,
    uri: str,
) -> Iterator[GateResult]:
    """The verdict of each gate in turn, from "loads alone" to "not worse".

    Args:
        candidate: the network.
        selection: how it was chosen.
        holder: the version that holds the alias now; None if there is none.
        margin: how much worse than the holder it may be.
        is_forced: let it through even if it is worse.
        isolation: where it must load.
        uri: the tracking URI of the store that it is in.

    Raises:
        GateError: the first gate that refuses it.
    """
    answers = ask(candidate, isolation=isolation, uri=uri)
    yield loads_alone(answers, isolation=isolation)
    yield answers_twice_alike(candidate, answers)
    yield same_logits(candidate, answers)
    yield same_accuracy(candidate, answers)
    yield signature_holds(candidate, answers)
    yield not_worse(selection, holder, margin=margin, is_forced=is_forced)
