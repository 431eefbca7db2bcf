"""Gates that compare what the logged model answered with the network rebuilt from the weights."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from numpy.typing import NDArray
from torch import nn

from pipeline.registry.gates.candidate import Candidate
from pipeline.registry.gates.isolation import BATCHES, TOLERANCE, Answers, answer, gap
from pipeline.registry.gates.result import GateError, GateResult, gap_in_words

_SAME_LOGITS = "same logits"
_TRAIN_AGAIN = "train the network again with force=true"


def answers_twice_alike(candidate: Candidate, answers: Answers) -> GateResult:
    """Check that two calls with the same images give the same bits: no dropout is left.

    Raises:
        GateError: they differ.
    """
    gate, count = "no dropout left", max(BATCHES)
    first, second = (
        _graph_logits(candidate, answers, batch, count) for batch in (str(count), "again")
    )
    share = float((first != second).mean())
    if share > 0:
        raise GateError(
            gate,
            rule="two calls must give identical logits",
            found=f"{100 * share:.1f} % of the logits of {count:,} images different",
            remedy=f"the graph was exported in training mode; {_TRAIN_AGAIN}",
        )
    return GateResult(gate=gate, found=f"two calls with {count:,} images: identical")


def same_logits(candidate: Candidate, answers: Answers) -> GateResult:
    """Check that the graph and the network rebuilt from the state dict agree within `TOLERANCE`.

    Raises:
        GateError: they do not, for some batch size.
    """
    largest = 0.0
    for count in BATCHES:
        expected = logits(candidate.rebuilt, candidate.test_images(count))
        apart = gap(_graph_logits(candidate, answers, str(count), count), expected)
        if not apart <= TOLERANCE:
            raise GateError(
                _SAME_LOGITS,
                rule=f"graph and state dict must give logits within {TOLERANCE:g} of each other",
                found=f"a difference of {apart:.2g} in a batch of {count:,}",
                remedy=f"one of the two belongs to another network; {_TRAIN_AGAIN}",
            )
        largest = max(largest, apart)
    sizes = ", ".join(f"{count:,}" for count in BATCHES)
    found = f"graph and state dict in batches of {sizes}: {gap_in_words(largest)}"
    return GateResult(gate=_SAME_LOGITS, found=found)


def same_accuracy(candidate: Candidate, answers: Answers) -> GateResult:
    """Check that the graph's test accuracy is the one that the run has logged.

    Raises:
        GateError: it is not.
    """
    gate, logged = "same accuracy", candidate.result.test.accuracy
    labels = candidate.data.test_labels.numpy()
    total = len(labels)
    right = int((_graph_logits(candidate, answers, "test", total).argmax(-1) == labels).sum())
    # In whole images, so that the store's rounding of floats does not matter.
    if abs(logged * total - right) > 0.5:
        raise GateError(
            gate,
            rule="the test accuracy of the loaded model must equal the run's test/accuracy",
            found=f"{right / total:.6g} where the run says {logged:.6g}",
            remedy=f"the model or the metric was changed after training; {_TRAIN_AGAIN}",
        )
    found = f"{right:,} of {total:,} test images correct, test/accuracy {logged:.6g}"
    return GateResult(gate=gate, found=found)


@torch.no_grad()
def logits(
    network: nn.Module, images: Float32[torch.Tensor, "batch 1 height width"]
) -> NDArray[np.float32]:
    """A network's answers, shape (batch, classes)."""
    found: NDArray[np.float32] = network(images).numpy()
    return found


def _graph_logits(candidate: Candidate, answers: Answers, batch: str, count: int) -> NDArray[Any]:
    """The graph's answer to a batch of so many test images.

    Raises:
        GateError: it failed, as a graph exported for other batch sizes does.
    """
    match answer(answers, "pytorch", batch):
        case (_, reason):
            found = f"{reason!r} for a batch of {count:,}"
        case np.ndarray(shape=shape) as logits if shape == (count, len(candidate.data.classes)):
            return logits
        case other:
            found = f"an answer of shape {np.shape(other)} for a batch of {count:,}"
    raise GateError(
        _SAME_LOGITS,
        rule="the graph must accept batches of any size",
        found=found,
        remedy=_TRAIN_AGAIN,
    )
