"""The gate that asks whether a model does what its signature and its example say.

It must not know how the network was trained.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.errors import PipelineError
from pipeline.gates.answers import TOLERANCE, logits
from pipeline.gates.candidate import Candidate
from pipeline.gates.verdict import GateError, Verdict, gap_in_words
from pipeline.tracking import LoadedModel

GATE = "signature holds"
_LOG_AGAIN = "train the network again with force=true, which logs its model anew"


def signature_holds(one: Candidate) -> Verdict:
    """The model takes and reproduces its example, and refuses what its signature excludes.

    Raises:
        GateError: it has no example, refuses it or answers it otherwise than the network does, or
            takes images that are cut or have no channel.
    """
    model, example = one.model, one.model.example
    if example is None:
        raise _refusal("an example must come with the model", "none")
    answer = _answer(model, example)
    if answer is None:
        raise _refusal(
            f"the example must fit the signature {_words(model.inputs)}",
            f"one of shape {_words(example.shape)}",
        )
    expected = logits(one.rebuilt, torch.from_numpy(example)).numpy()
    if answer.shape != expected.shape or not _fits(answer.shape, model.outputs):
        raise _refusal(
            f"the answer must have the shape {_words(model.outputs)} of the signature",
            _words(answer.shape),
        )
    gap = float(np.abs(answer - expected).max())
    if not gap <= TOLERANCE:
        raise _refusal(
            f"the example's answer must be the network's within {TOLERANCE:g}",
            f"a difference of {gap:.2g}",
        )
    for wrong in _wrong(one.test_images(2).numpy()):
        if _answer(model, wrong) is not None:
            raise _refusal(
                "the model must refuse images of another shape than its network takes",
                f"an answer to images of shape {_words(wrong.shape)}",
            )
    found = (
        f"takes {_words(model.inputs)}, gives {_words(model.outputs)}, refuses other shapes; "
        f"the example's answer and the network's: {gap_in_words(gap)}"
    )
    return Verdict(gate=GATE, found=found)


def _answer(model: LoadedModel, batch: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """What the model answers; None where its signature refuses the batch.

    Raises:
        GateError: the signature admits the batch, and the graph fails on it.
    """
    try:
        return model.predict(batch)
    except PipelineError as error:
        raise _refusal(
            "the graph must answer whatever its signature admits",
            f"a failure for a batch of shape {_words(batch.shape)}",
        ) from error


def _wrong(images: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Images with a row too few, with a column too few, and without their channel."""
    return [images[:, :, 1:], images[..., 1:], images[:, 0]]


def _fits(shape: tuple[int, ...], signature: tuple[int, ...]) -> bool:
    """Whether a shape is as a signature asks, where -1 stands for any number."""
    return len(shape) == len(signature) and all(
        wanted in {-1, given} for given, wanted in zip(shape, signature, strict=True)
    )


def _words(shape: tuple[int, ...]) -> str:
    """A shape for people, `n` standing for a batch of any size."""
    return " × ".join("n" if size == -1 else str(size) for size in shape)


def _refusal(rule: str, found: str) -> GateError:
    return GateError(GATE, rule=rule, found=found, remedy=_LOG_AGAIN)
