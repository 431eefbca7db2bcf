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
from why_zero._watch import backward, layer_counts, pass_counts, recorder

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
    with ZeroProbe(module):
        train(module, passes=16)


def plant_inverted_mask(monkeypatch: pytest.MonkeyPatch) -> int:
    right = recorder._mask
    monkeypatch.setattr(recorder, "_mask", lambda *call: ~right(*call))
    return 4


def plant_another_mask(monkeypatch: pytest.MonkeyPatch) -> int:
    """The generator is not where it was when the pass drew."""
    right = recorder._mask

    def later(*call: object) -> Tensor:
        state = torch.get_rng_state()
        torch.rand(1)
        mask = right(*call)
        torch.set_rng_state(state)
        return mask

    monkeypatch.setattr(recorder, "_mask", later)
    return 4


def plant_missing_scale(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(pass_counts, "scale_of", lambda _: 1.0)
    return 4


def plant_missing_scale_of_gradients(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(backward, "scale_of", lambda _: 1.0)
    return 7


def plant_both_folded_away(monkeypatch: pytest.MonkeyPatch) -> int:
    def fold(is_open: Tensor, keep: Tensor, axis: int) -> Tensor:
        counts = layer_counts.causes_by_unit(is_open, keep, axis)
        counts[1] += counts[3]
        counts[3] = 0
        return counts

    monkeypatch.setattr(pass_counts, "causes_by_unit", fold)
    return 1


def plant_both_left_out(monkeypatch: pytest.MonkeyPatch) -> int:
    def forget(is_open: Tensor, keep: Tensor, axis: int) -> Tensor:
        counts = layer_counts.causes_by_unit(is_open, keep, axis)
        counts[3] = 0
        return counts

    monkeypatch.setattr(pass_counts, "causes_by_unit", forget)
    return 5


def plant_closed_from_another_pass(monkeypatch: pytest.MonkeyPatch) -> int:
    """S from evaluation mode: the ReLU is judged by what it did without dropout upstream."""
    right = pass_counts.PassCounts.activation

    def activation(
        self: pass_counts.PassCounts,
        call: str,
        which: object,
        before: pass_counts.CallInput,
        *,
        result: Tensor,
    ) -> layer_counts.LayerCounts:
        evaluated = replace(before, values=before.values + 0.05)
        return right(self, call, which, evaluated, result=result)

    monkeypatch.setattr(pass_counts.PassCounts, "activation", activation)
    return 1


@pytest.mark.parametrize(
    "plant",
    [
        plant_inverted_mask,
        plant_another_mask,
        plant_missing_scale,
        plant_missing_scale_of_gradients,
        plant_both_folded_away,
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
    with ZeroProbe(module), pytest.raises(BrokenIdentity) as broken:
        train(module)
    assert broken.value.identity == identity
    assert broken.value.layer in {"1", "4", "5", "7"}


def test_logits_counted_as_hidden_units_are_caught(
    module: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = pass_counts.PassCounts.dropout

    def dropout(
        self: pass_counts.PassCounts, call: str, *rest: object, **how: Tensor
    ) -> layer_counts.LayerCounts:
        if call == "7":
            self.lineage.mark(rest[0].x, "derived", None)
            rest = (rest[0], self.before(rest[0].x, is_overwritten=False))
        return right(self, call, *rest, **how)

    monkeypatch.setattr(pass_counts.PassCounts, "dropout", dropout)
    with ZeroProbe(module), pytest.raises(BrokenIdentity, match="identity 1 must hold in layer 7"):
        train(module)


@pytest.mark.parametrize("rate", [0.25, 0.35])
def test_a_dropout_that_drops_at_another_rate_is_caught_in_a_few_passes(
    module: nn.Module, monkeypatch: pytest.MonkeyPatch, rate: float
) -> None:
    """Scale and mask are right, only the share of what is dropped is not."""

    def biased(x: Tensor, p: float, is_training: bool) -> Tensor:
        assert is_training
        return x * (torch.rand_like(x) >= rate) / (1 - p)

    monkeypatch.setattr(F._VF, "dropout", biased)
    with pytest.raises(BrokenIdentity, match="identity 3"), ZeroProbe(module):
        train(module, passes=64)


def test_a_break_at_the_end_of_the_block_is_raised_there(
    module: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "why_zero._watch.sums.check_dropped", lambda *_: None
    )  # as if no test had been due yet
    probe = ZeroProbe(module)
    probe.__enter__()
    train(module)
    monkeypatch.undo()
    next(iter(probe._sums[True].values()))._trials[1] += 1000
    with pytest.raises(BrokenIdentity, match="identity 3 must hold in layer 1"):
        probe.__exit__(None, None, None)
    assert not module._forward_hooks
