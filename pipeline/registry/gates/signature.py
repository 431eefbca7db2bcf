"""The gate that checks that a model does what its signature and example say."""

from typing import Any

import torch
from numpy.typing import NDArray

from pipeline.registry.gates.agreement import logits
from pipeline.registry.gates.candidate import Candidate
from pipeline.registry.gates.isolation import TOLERANCE, Answers, answer, gap, wrong_images
from pipeline.registry.gates.result import GateError, GateResult, gap_in_words
from pipeline.tracking import signature_of

GATE = "signature holds"
_LOG_AGAIN = "train the network again with force=true, which logs its model again"


def signature_holds(candidate: Candidate, answers: Answers) -> GateResult:
    """The model took and reproduced its example, and refused what its signature excludes.

    Raises:
        GateError: it has no example, refuses it or answers it differently from the network, or
            accepts images with a missing row, column or channel.
    """
    inputs, outputs = signature_of(candidate.address)
    example = answers.get("example")
    if example is None:
        raise _refusal("an example must come with the model", "none")
    found = _answer(answers, "example", example.shape)
    if found is None:
        raise _refusal(
            f"the example must fit the signature {_words(inputs)}",
            f"one of shape {_words(example.shape)}",
        )
    expected = logits(candidate.rebuilt, torch.from_numpy(example))
    if found.shape != expected.shape or not _fits(found.shape, outputs):
        raise _refusal(
            f"the answer must have the shape {_words(outputs)} of the signature",
            _words(found.shape),
        )
    apart = gap(found, expected)
    if not apart <= TOLERANCE:
        raise _refusal(
            f"the example's answer must be the network's within {TOLERANCE:g}",
            f"a difference of {apart:.2g}",
        )
    for name, wrong in wrong_images(candidate).items():
        if _answer(answers, name, wrong.shape) is not None:
            raise _refusal(
                "the model must refuse images of a shape that its network does not take",
                f"an answer to images of shape {_words(wrong.shape)}",
            )
    words = (
        f"takes {_words(inputs)}, gives {_words(outputs)}, refuses other shapes; "
        f"the example's answer and the network's: {gap_in_words(apart)}"
    )
    return GateResult(gate=GATE, found=words)


def _answer(answers: Answers, batch: str, shape: tuple[int, ...]) -> NDArray[Any] | None:
    """The model's answer through pyfunc; None if its signature refused the batch.

    Raises:
        GateError: the signature allowed the batch, but the graph failed on it.
    """
    match answer(answers, "pyfunc", batch):
        case ("refused", _):
            return None
        case (_, reason):
            raise _refusal(
                "the graph must accept whatever its signature allows",
                f"a failure for a batch of shape {_words(shape)} ({reason})",
            )
        case found:
            return found


def _fits(shape: tuple[int, ...], signature: tuple[int, ...]) -> bool:
    """Whether a shape matches a signature, where -1 stands for any number."""
    return len(shape) == len(signature) and all(
        wanted in {-1, size} for size, wanted in zip(shape, signature, strict=True)
    )


def _words(shape: tuple[int, ...]) -> str:
    """A shape in words, with `n` for a batch of any size."""
    return " × ".join("n" if size == -1 else str(size) for size in shape)


def _refusal(rule: str, found: str) -> GateError:
    return GateError(GATE, rule=rule, found=found, remedy=_LOG_AGAIN)
