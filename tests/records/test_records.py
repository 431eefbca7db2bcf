"""What the counts of a record mean, and under which names they go out."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.config.recipe import Recipe
from pipeline.records import CauseMap, EpochRecord, LayerRecord, Score, turnover
from pipeline.records import history as histories
from pipeline.records.metrics import metrics
from pipeline.training.batches import Examples
from pipeline.training.loop import epochs, make_optimizer
from pipeline.training.stack import Stack
from why_zero.records import UnitStates, ZeroCauses


def counts(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


# Two units, ten samples each: the second is dead.
CAUSES = ZeroCauses(
    active=counts(4, 0), dropped=counts(3, 0), inactive=counts(2, 6), both=counts(1, 4)
)


def states(*fired: int) -> UnitStates:
    return UnitStates(
        samples=10,
        fired=counts(*fired),
        reached=counts(*fired),
        magnitude=np.array(fired, dtype=np.float64),
    )


def record(epoch: int, *fired: int) -> EpochRecord:
    layer = LayerRecord(
        name="h1",
        causes=CAUSES,
        states=states(*fired),
        gradient_norm=0.5 if epoch else None,
        update_ratio=0.1 if epoch else None,
    )
    return EpochRecord(
        member=0,
        epoch=epoch,
        layers=(layer,),
        train=Score(0.7, 0.5) if epoch else None,
        train_eval=Score(0.6, 0.6),
        validation=Score(0.65, 0.55),
    )


def test_shares_are_of_all_pairs_and_zero_causes_add_up() -> None:
    assert CAUSES.pairs == 20
    assert CAUSES.share("active") == 4 / 20
    assert CAUSES.zero_share == 16 / 20
    assert sum(CAUSES.share(cause) for cause in ("dropped", "inactive", "both")) == 16 / 20


def test_a_unit_is_dead_always_on_or_between() -> None:
    found = states(0, 10, 3)
    assert found.dead.tolist() == [True, False, False]
    assert found.always_on.tolist() == [False, True, False]
    assert found.firing_rate.tolist() == [0, 1, 0.3]


def test_a_unit_is_dormant_at_or_below_a_fortieth_of_its_layer_s_mean() -> None:
    # The mean of (0.25, 19.75, 10) is 10, and 0.025 x 10 = 0.25.
    found = UnitStates(
        samples=10,
        fired=counts(1, 10, 10),
        reached=counts(1, 10, 10),
        magnitude=np.array([0.25, 19.75, 10.0]),
    )
    assert found.dormant.tolist() == [True, False, False]
    assert states(0, 0).dormant.tolist() == [True, True]


def moved(layer: LayerRecord, *norms: float) -> LayerRecord:
    return replace(layer, update_norms=np.array(norms))


def test_units_die_and_revive_between_two_records_by_own_weights_or_by_inputs_alone() -> None:
    # One dies, one stays dead, one revives with weights that moved, one with weights that did not.
    [before], [after] = record(0, 5, 0, 0, 0, 5).layers, record(1, 0, 0, 2, 2, 5).layers
    found = turnover(before, moved(after, 0.1, 0.0, 1e-30, 0.0, 0.1))
    assert found.died.tolist() == [True, False, False, False, False]
    assert found.revived.tolist() == [False, False, True, True, False]
    assert found.revived_by_weights.tolist() == [False, False, True, False, False]
    assert found.revived_by_inputs.tolist() == [False, False, False, True, False]


def test_weights_whose_change_is_unknown_are_not_said_to_have_stood_still() -> None:
    [before], [after] = record(0, 0).layers, record(1, 2).layers
    for unknown in (replace(after, update_norms=None), moved(after, math.nan)):
        assert turnover(before, unknown).revived_by_weights.tolist() == [True]
        assert turnover(before, unknown).revived_by_inputs.tolist() == [False]


def test_only_units_of_a_relu_layer_die_or_revive() -> None:
    [layer] = record(1, 2).layers
    with pytest.raises(ValueError, match="h1: it has none"):
        turnover(layer, replace(layer, states=None))


def test_a_cause_map_tells_what_dropout_did_from_what_relu_did() -> None:
    # One pass, one sample, a unit for each cause: active, dropped, inactive, both.
    one = CauseMap(
        layer="h1", causes=np.array([[[0, 1, 2, 3]]], dtype=np.uint8), dead=np.zeros(4, dtype=bool)
    )
    assert one.is_dropped.tolist() == [[[False, True, False, True]]]
    assert one.is_closed.tolist() == [[[False, False, True, True]]]


def test_metrics_put_the_measure_first_and_the_layer_last() -> None:
    born = record(0, 0, 0, 5)
    named = metrics(record(1, 0, 2, 5), born, born)
    assert named == {
        "train/loss": 0.7,
        "train/accuracy": 0.5,
        "train_eval/loss": 0.6,
        "train_eval/accuracy": 0.6,
        "val/loss": 0.65,
        "val/accuracy": 0.55,
        "zero/h1": 0.8,
        "zero_dropped/h1": 0.15,
        "zero_inactive/h1": 0.4,
        "zero_both/h1": 0.25,
        "gradient_norm/h1": 0.5,
        "update_ratio/h1": 0.1,
        "dead/h1": pytest.approx(1 / 3),
        "always_on/h1": 0.0,
        "dormant/h1": pytest.approx(1 / 3),
        "starved/h1": 0.0,
        "born_dead/h1": pytest.approx(2 / 3),
        "revived/h1": pytest.approx(1 / 3),
    }


def test_epoch_0_has_no_train_gradient_speed_or_revival_point() -> None:
    born = record(0, 0, 5)
    named = metrics(born, None, born)
    assert not [name for name in named if name.startswith(("train/", "grad", "update", "speed"))]
    assert "revived/h1" not in named
    assert named["born_dead/h1"] == named["dead/h1"] == 0.5


def test_a_history_survives_the_way_through_its_file(tmp_path: Path) -> None:
    recipe = Recipe(widths=(5, 4), batch_size=10, epochs=2, holdout=1, probe_every=1)
    images = torch.randint(0, 256, (40, 6), dtype=torch.uint8)
    data = Examples(images, images[:, 0].long() % 3)
    stack = Stack([recipe], inputs=6, classes=3)
    written = [
        records[0]
        for records in epochs(stack, make_optimizer(stack), training=data, validation=data)
    ]
    histories.save(written, tmp_path / "history.safetensors")
    read = histories.load(tmp_path / "history.safetensors")
    assert [r.epoch for r in read] == [0, 1, 2]
    assert read[-1].ending == "finished"
    for before, after in zip(written, read, strict=True):
        assert (after.train, after.train_eval, after.validation) == (
            before.train,
            before.train_eval,
            before.validation,
        )
        assert metrics(after, None, read[0]) == metrics(before, None, written[0])
        for one, other in zip(before.layers, after.layers, strict=True):
            np.testing.assert_array_equal(one.causes.dropped, other.causes.dropped)
            assert (one.states is None) == (other.states is None)
            if one.gradient_norms is not None:
                assert other.gradient_norms is not None
                np.testing.assert_array_equal(one.gradient_norms, other.gradient_norms)
