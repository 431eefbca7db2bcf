"""Results made by hand: what a comparison reads, without any training."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from pipeline.config.recipe import Recipe
from pipeline.records import EpochRecord, LayerRecord, Score
from pipeline.records.result import DIVERGED, Failure, Result
from why_zero.records import UnitStates, ZeroCauses


def make_layer(name: str, counts: Sequence[int], fired: Sequence[int] | None) -> LayerRecord:
    causes = ZeroCauses(*(np.array([count]) for count in counts))
    states = None
    if fired is not None:
        times = np.array(fired)
        states = UnitStates(samples=10, fired=times, reached=times, magnitude=times / 10)
    return LayerRecord(name=name, causes=causes, states=states)


def make_network(
    accuracy: float,
    *,
    loss: float = 0.5,
    test: float = 0.25,
    counts: Sequence[int] = (4, 1, 3, 2),
    fired: Sequence[int] | None = (0, 5, 10, 5),
    born: Sequence[int] | None = (0, 0, 10, 5),
    layers: Sequence[str] = ("h1",),
    seconds: float | None = 2.0,
    device: str = "cpu",
    device_name: str = "cpu (slow)",
    digest: str = "abc",
    run_id: str | None = None,
    stack_size: int = 1,
    **settings: Any,  # noqa: ANN401 - as many kinds as settings
) -> Result:
    """A network of one trained epoch; `settings` are its recipe's, p = 0.5 and seed 0 by default.

    `counts` are of its hidden layers: active, dropped, inactive, both.
    """
    epochs = 0 if seconds is None else 1
    recipe = Recipe(**{"widths": (4,), "epochs": epochs, **settings})
    history = [
        EpochRecord(
            member=0,
            epoch=epoch,
            layers=(
                *(make_layer(name, counts, fired if epoch == epochs else born) for name in layers),
                make_layer("logits", (10, 0, 0, 0) if sum(counts) else (0, 0, 0, 0), None),
            ),
            train=Score(1.0, 0.5) if epoch else None,
            train_eval=Score(1.0, 0.5),
            validation=Score(loss if epoch == epochs else 2.0, accuracy),
            epoch_seconds=seconds if epoch else None,
            samples_per_second=1000 / seconds if seconds and epoch else None,
            peak_memory_mb=100.0 if epoch else None,
        )
        for epoch in range(epochs + 1)
    ]
    return Result(
        recipe=recipe,
        history=history,
        chosen=history[-1],
        test=Score(0.5, test),
        run_id=run_id or f"{recipe.name} on {device} {digest}",
        page="#/a-page",
        device=device,
        device_name=device_name,
        dataset="mnist",
        dataset_digest=digest,
        stack_size=stack_size,
    )


def make_sweep(
    accuracies: dict[float, Sequence[float]],
    **changes: Any,  # noqa: ANN401 - as above
) -> list[Result]:
    """A network for each drop rate and each of its accuracies, whose places are the seeds."""
    return [
        make_network(accuracy, drop_rate=rate, seed=seed, **changes)
        for rate, row in accuracies.items()
        for seed, accuracy in enumerate(row)
    ]


@pytest.fixture(scope="session")
def network() -> Callable[..., Result]:
    return make_network


@pytest.fixture(scope="session")
def sweep() -> Callable[..., list[Result]]:
    return make_sweep


@pytest.fixture(scope="session")
def failed() -> Callable[..., Failure]:
    """What is known of a network that would have had this result."""

    def make(result: Result, reason: str = f"{DIVERGED}, got NaN") -> Failure:
        return Failure(
            recipe=result.recipe,
            device=result.device,
            device_name=result.device_name,
            dataset=result.dataset,
            dataset_digest=result.dataset_digest,
            reason=reason,
        )

    return make
