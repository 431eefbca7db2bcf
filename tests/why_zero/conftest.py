"""Networks of all the kinds that a probe has to understand."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn


class WithForward(nn.Module):
    """ReLUs and dropouts in a forward: functions, methods, one module used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 8)
        self.relu = nn.ReLU()
        self.dropout = nn.Dropout(0.5)
        self.last = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.dropout(self.relu(self.first(x)))
        x = self.dropout(self.relu(self.second(x)))
        x = F.dropout(torch.relu(self.third(x)), 0.25, training=self.training)
        return self.last(x)


class Residual(nn.Module):
    """An in-place sum between a dropout and the next ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = F.dropout(F.relu(self.inner(x)), 0.3, training=self.training)
        h += x
        return self.outer(F.relu_(h))


def _sequential() -> nn.Module:
    return nn.Sequential(
        nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3), nn.Dropout(0.2)
    )


def _in_place() -> nn.Module:
    return nn.Sequential(
        nn.Linear(6, 8),
        nn.ReLU(inplace=True),
        nn.Dropout(0.5),
        nn.Linear(8, 8),
        nn.Dropout(0.25, inplace=True),
        nn.ReLU(inplace=True),
        nn.Linear(8, 3),
    )


def _smooth() -> nn.Module:
    return nn.Sequential(
        *(nn.Linear(6, 8), nn.LeakyReLU(), nn.Dropout(0.5)),
        *(nn.Linear(8, 8), nn.GELU(), nn.Dropout(0.3)),
        *(nn.Linear(8, 8), nn.SiLU(), nn.LayerNorm(8), nn.Linear(8, 3)),
    )


def _convolutions() -> nn.Module:
    return nn.Sequential(
        nn.Unflatten(1, (1, 6)),
        *(nn.Conv1d(1, 4, 3, padding=1), nn.BatchNorm1d(4), nn.ReLU(inplace=True)),
        *(nn.Dropout1d(0.3), nn.Conv1d(4, 4, 3, padding=1), nn.ReLU(), nn.Dropout(0.4)),
        *(nn.MaxPool1d(2), nn.Dropout(0.1), nn.Flatten(), nn.Linear(12, 3)),
    )


KINDS: dict[str, Callable[[], nn.Module]] = {
    "sequential": _sequential,
    "with forward": WithForward,
    "in place": _in_place,
    "smooth": _smooth,
    "convolutions": _convolutions,
    "residual": Residual,
}


@pytest.fixture(params=sorted(KINDS))
def network(request: pytest.FixtureRequest) -> nn.Module:
    """Six inputs, three outputs, the same weights every time."""
    torch.manual_seed(11)
    return KINDS[request.param]()


@pytest.fixture
def batches() -> list[tuple[Tensor, Tensor]]:
    """Five batches of 16 samples with a class each."""
    source = torch.Generator().manual_seed(5)
    draw = [(torch.randn(16, 6, generator=source), source) for _ in range(5)]
    return [(x, torch.randint(3, (16,), generator=source)) for x, source in draw]
