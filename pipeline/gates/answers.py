"""Gates that ask the logged model for logits and compare them, on the CPU.

It must not know which network is the best, nor write anything.
"""

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor, nn

from pipeline.gates.candidate import Candidate
from pipeline.gates.verdict import GateError, Verdict, gap_in_words

BATCHES = (1, 7, 10_000)
TOLERANCE = 1e-5
_SAME_LOGITS = "same logits"
_TRAIN_AGAIN = "train the network again with force=true"


def answers_twice_alike(one: Candidate) -> Verdict:
    """Two calls with the same images give the very same bits: no dropout is left in the graph.

    Raises:
        GateError: they differ.
    """
    gate, count = "no dropout left", max(BATCHES)
    first, second = (_graph_logits(one, count) for _ in range(2))
    share = float((first != second).float().mean())
    if share > 0:
        raise GateError(
            gate,
            rule="two calls must give identical logits",
            found=f"{100 * share:.1f} % of the logits of {count:,} images different",
            remedy=f"the graph was exported in training mode; {_TRAIN_AGAIN}",
        )
    return Verdict(gate=gate, found=f"two calls with {count:,} images: identical")


def same_logits(one: Candidate) -> Verdict:
    """The graph and the network rebuilt from the state dict agree within `TOLERANCE`.

    Raises:
        GateError: they do not, for some size of batch.
    """
    largest = 0.0
    for count in BATCHES:
        gap = _gap(_graph_logits(one, count), logits(one.rebuilt, one.test_images(count)))
        if not gap <= TOLERANCE:
            raise GateError(
                _SAME_LOGITS,
                rule=f"graph and state dict must give logits within {TOLERANCE:g} of each other",
                found=f"a difference of {gap:.2g} in a batch of {count:,}",
                remedy=f"one of the two is not of this network; {_TRAIN_AGAIN}",
            )
        largest = max(largest, gap)
    sizes = ", ".join(f"{count:,}" for count in BATCHES)
    found = f"graph and state dict in batches of {sizes}: {gap_in_words(largest)}"
    return Verdict(gate=_SAME_LOGITS, found=found)


def same_accuracy(one: Candidate) -> Verdict:
    """The loaded graph's accuracy on the test set is the one that the run has logged.

    Raises:
        GateError: it is another.
    """
    gate, logged = "same accuracy", one.result.test.accuracy
    again, confusion = one.tested
    total = int(confusion.sum())
    # In whole images, so that nothing hangs on how a store keeps a float.
    if abs(logged - again.accuracy) * total > 0.5:
        raise GateError(
            gate,
            rule="the test accuracy computed from the loaded model must be the run's test/accuracy",
            found=f"{again.accuracy:.6g} where the run says {logged:.6g}",
            remedy=f"model or metric was changed after the training; {_TRAIN_AGAIN}",
        )
    right = int(confusion.trace())
    found = f"{right:,} of {total:,} test images right, test/accuracy {logged:.6g}"
    return Verdict(gate=gate, found=found)


@torch.no_grad()
def logits(network: nn.Module, images: Float32[Tensor, "batch 1 height width"]) -> Tensor:
    """What a network answers, shape (batch, classes)."""
    answer: Tensor = network(images)
    return answer


def _graph_logits(one: Candidate, count: int) -> Tensor:
    """What the graph answers to so many test images.

    Raises:
        GateError: it fails, as one does that was exported for other sizes of batch.
    """
    try:
        return logits(one.model.network, one.test_images(count))
    except (AssertionError, RuntimeError) as error:  # a guard of the graph, or a product
        raise GateError(
            _SAME_LOGITS,
            rule="the graph must answer batches of any size",
            found=f"{str(error).splitlines()[0]!r} for a batch of {count:,}",
            remedy=_TRAIN_AGAIN,
        ) from error


def _gap(one: Tensor, other: Tensor) -> float:
    """The largest difference of any two logits; infinite where the shapes differ."""
    if one.shape != other.shape:
        return float(np.inf)
    return float((one - other).abs().max())
