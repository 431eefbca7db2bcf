"""Wrong instruments, planted in the probe itself: each is caught by an identity.

The same mistakes in a stack's measurements are in `test_identities.py`.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from why_zero import BrokenIdentity, ZeroProbe
from why_zero._watch import backward, masks, pass_counts, recorder

X = torch.randn(64, 10, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def module() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Linear(10, 30), nn.ReLU(), nn.Dropout(0.3)),
        *(nn.Linear(30, 30), nn.Dropout(0.3), nn.ReLU()),
        *(nn.Linear(30, 5), nn.Dropout(0.3)),
    )


def train(module: nn.Module, *, passes: int = 1) -> None:
    torch.manual_seed(2)
    for _ in range(passes):
        module(X).sum().backward()


def test_nothing_is_planted(module: nn.Module) -> None:
    with ZeroProbe(module, strict=True):
        train(module, passes=16)


def plant_inverted_mask(monkeypatch: pytest.MonkeyPatch) -> int:
    right = masks.MaskReader.keep
    monkeypatch.setattr(masks.MaskReader, "keep", lambda *call: ~right(*call))
    return 4


def plant_another_mask(monkeypatch: pytest.MonkeyPatch) -> int:
    """A mask with the right rate that is not the one of this pass."""
    right = masks.MaskReader.keep
    monkeypatch.setattr(masks.MaskReader, "keep", lambda *call: right(*call).roll(1, 0))
    return 4


def plant_missing_scale(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(pass_counts, "scale_of", lambda _: 1.0)
    return 4


def plant_missing_scale_of_gradients(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(backward, "scale_of", lambda _: 1.0)
    return 7


def plant_both_left_out(monkeypatch: pytest.MonkeyPatch) -> int:
    right = pass_counts._crossed

    def forget(*what: object, **how: object) -> Tensor:
        counts = right(*what, **how)
        counts[0] += counts[3]
        counts[3] = 0
        return counts

    monkeypatch.setattr(pass_counts, "_crossed", forget)
    return 1


def plant_closed_from_another_pass(monkeypatch: pytest.MonkeyPatch) -> int:
    """S from evaluation mode: the ReLU is judged by what it did without dropout upstream."""
    right = recorder.activation_of

    def evaluated(call: object) -> object:
        found = right(call)
        return found and replace(found, z=found.z + 0.05)

    monkeypatch.setattr(recorder, "activation_of", evaluated)
    return 1


@pytest.mark.parametrize(
    "plant",
    [
        plant_inverted_mask,
        plant_another_mask,
        plant_missing_scale,
        plant_missing_scale_of_gradients,
        plant_both_left_out,
        plant_closed_from_another_pass,
    ],
)
def test_a_wrong_instrument_is_caught_in_its_first_pass(
    plant: Callable[[pytest.MonkeyPatch], int],
    module: nn.Module,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    identity = plant(monkeypatch)
    with pytest.raises(BrokenIdentity) as broken, ZeroProbe(module, strict=True):
        train(module)
    assert broken.value.identity == identity
    assert broken.value.layer in {"1", "4", "5", "7"}


def test_in_somebody_s_training_a_broken_identity_is_a_note_and_its_pass_is_left_out(
    module: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant_missing_scale(monkeypatch)
    with ZeroProbe(module) as probe:
        train(module)
    assert set(probe.layers) == set()
    assert set(probe.notes) == {"1", "5", "7"}
    assert all("identity 4 must hold" in note for note in probe.notes.values())


@pytest.mark.parametrize("rate", [0.25, 0.35])
def test_a_dropout_that_drops_at_another_rate_is_caught_in_a_few_passes(
    module: nn.Module, monkeypatch: pytest.MonkeyPatch, rate: float
) -> None:
    """Scale and mask are right, only the share of what is dropped is not."""

    def biased(x: Tensor, p: float, is_training: bool) -> Tensor:
        assert is_training
        return x * torch.empty_like(x).bernoulli_(1 - rate) / (1 - p)

    monkeypatch.setattr(F._VF, "dropout", biased)
    with pytest.raises(BrokenIdentity, match="identity 3"), ZeroProbe(module, strict=True):
        train(module, passes=64)


def test_a_break_at_the_end_of_the_block_is_raised_there(
    module: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "why_zero._watch.sums.check_dropped", lambda *_: None
    )  # as if no test had been due yet
    probe = ZeroProbe(module, strict=True)
    probe.__enter__()
    train(module)
    monkeypatch.undo()
    next(iter(probe._sums[True].values()))._trials[1] += 1000
    with pytest.raises(BrokenIdentity, match="identity 3 must hold in layer 1"):
        probe.__exit__(None, None, None)
    assert "__call__" not in vars(type(module))
