"""The causes of single activations, by hand and against the counts."""

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.config.recipe import Recipe
from pipeline.records import EpochRecord, LayerRecord, Score
from pipeline.training.batches import Batch
from pipeline.training.cause_map import cause_maps
from why_zero.records import CAUSES, UnitStates, ZeroCauses

NONE = np.zeros(2, dtype=np.int64)


def layer(name: str, *, has_relu: bool) -> LayerRecord:
    states = UnitStates(
        samples=3, fired=np.array([3, 0]), reached=np.array([3, 0]), magnitude=np.ones(2)
    )
    return LayerRecord(
        name=name, causes=ZeroCauses(NONE, NONE, NONE, NONE), states=states if has_relu else None
    )


def record(weights: dict[str, NDArray[np.float32]]) -> EpochRecord:
    return EpochRecord(
        member=0,
        epoch=1,
        layers=(layer("h1", has_relu=True), layer("logits", has_relu=False)),
        train=None,
        train_eval=Score(0.0, 0.0),
        weights=weights,
    )


def test_each_cell_says_what_relu_and_the_mask_did() -> None:
    """The first unit is open for every sample, the second closed; half of both are dropped."""
    recipe = Recipe(widths=(2,), drop_rate=0.5)
    weights = {
        "linear1.weight": np.array([[1], [-1]], dtype=np.float32),
        "linear1.bias": np.zeros(2, dtype=np.float32),
        "linear2.weight": np.eye(2, dtype=np.float32),
        "linear2.bias": np.zeros(2, dtype=np.float32),
    }
    batch = Batch(torch.ones(1, 60, 1), torch.zeros(1, 60, dtype=torch.int64))
    [found] = cause_maps(recipe, record(weights), batch)
    assert found.layer == "h1"
    assert found.dead.tolist() == [False, True]
    assert found.causes.shape == (2, 60, 2)
    # Each cause misses one of 60 x 2 cells with probability 2**-120.
    assert {CAUSES[value] for value in found.causes[:, :, 0].flat} == {"active", "dropped"}
    assert {CAUSES[value] for value in found.causes[:, :, 1].flat} == {"inactive", "both"}
    assert (found.causes[0] != found.causes[1]).any()


def test_without_dropout_every_pass_is_the_same() -> None:
    recipe = Recipe(widths=(2,), drop_rate=0.0)
    source = np.random.default_rng(0)
    weights = {
        "linear1.weight": source.normal(size=(2, 3)).astype(np.float32),
        "linear1.bias": np.zeros(2, dtype=np.float32),
        "linear2.weight": np.eye(2, dtype=np.float32),
        "linear2.bias": np.zeros(2, dtype=np.float32),
    }
    x = torch.randn(1, 20, 3, generator=torch.Generator().manual_seed(0))
    batch = Batch(x, torch.zeros(1, 20, dtype=torch.int64))
    [found] = cause_maps(recipe, record(weights), batch)
    is_open = x[0].numpy() @ weights["linear1.weight"].T > 0
    for causes in found.causes:
        np.testing.assert_array_equal(causes, np.where(is_open, 0, 2))
