"""What the counts of a record mean, and under which names they go out."""

import math
from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.config.recipe import Recipe
from pipeline.records import CauseMap, EpochRecord, LayerRecord, Score, turnover
from pipeline.records import history as histories
from pipeline.records.metrics import metrics
from pipeline.training.batches import Examples
from pipeline.training.loop import epochs
from pipeline.training.optimizer import Optimizer
from pipeline.training.stack import Stack
from why_zero.records import UnexplainedZeros, UnitStates, WatchedLayer, ZeroCauses


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
    # The mean is 10 and 0.025 x 10 = 0.25: 0.3 is above it, and below a fortieth of the largest.
    found = UnitStates(
        samples=10,
        fired=counts(1, 1, 10, 10),
        reached=counts(1, 1, 10, 10),
        magnitude=np.array([0.25, 0.3, 19.75, 19.7]),
    )
    assert found.dormant.tolist() == [True, False, False, False]
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


def test_born_dead_is_of_epoch_0_and_revived_since_the_epoch_before() -> None:
    # Of four units one is born dead; two more die; then one of the three comes back.
    born, before, now = record(0, 0, 5, 5, 5), record(1, 0, 0, 0, 5), record(2, 0, 3, 0, 5)
    named = metrics(now, before, born)
    assert (named["born_dead/h1"], named["dead/h1"], named["revived/h1"]) == (0.25, 0.5, 0.25)


def test_metrics_of_starved_and_mask_dead_units_and_of_speed_are_shares_and_numbers() -> None:
    born, after = record(0, 3, 5, 4, 0), record(1, 3, 5, 4, 0)
    [layer] = after.layers
    assert layer.states is not None
    starving = replace(layer.states, reached=counts(0, 0, 2, 0))
    dead = np.array([False, False, False, True])
    timed = replace(
        after,
        layers=(replace(layer, states=starving, mask_dead=dead),),
        epoch_seconds=2.5,
        samples_per_second=400.0,
        peak_memory_mb=90.0,
    )
    named = metrics(timed, born, born)
    assert named["starved/h1"] == 0.5
    assert named["mask_dead/h1"] == 0.25
    assert named["speed/epoch_seconds"] == 2.5
    assert named["speed/samples_per_second"] == 400
    assert named["speed/peak_memory_mb"] == 90


def test_nothing_watched_is_no_share() -> None:
    none = ZeroCauses(*[counts(0, 0)] * 4)
    assert math.isnan(none.zero_share)
    assert math.isnan(none.share("active"))
    unwatched = replace(record(1, 0, 5), layers=(LayerRecord(name="h1", causes=none),))
    assert not [name for name in metrics(unwatched, None, record(0, 0, 5)) if "zero" in name]


def test_zeros_are_those_of_all_causes_known_or_not() -> None:
    causes = replace(CAUSES, unexplained=counts(5, 0))
    assert (causes.zeros, causes.pairs) == (3 + 2 + 6 + 1 + 4 + 5, 25)
    assert causes.share("unexplained") == 0.2
    assert CAUSES.unexplained.tolist() == [0, 0]


def test_a_unit_that_fires_and_whose_gradient_never_comes_back_is_starved() -> None:
    found = replace(states(0, 4, 4, 4), reached=counts(0, 0, 1, 4))
    assert found.starved.tolist() == [False, True, False, False]


def test_a_layer_s_unit_is_silent_if_it_was_closed_whatever_dropout_did() -> None:
    # Closed and kept or dropped, never seen, dropped while open, open.
    causes = ZeroCauses(
        active=counts(0, 0, 0, 0, 1),
        dropped=counts(0, 0, 0, 1, 0),
        inactive=counts(2, 0, 0, 2, 2),
        both=counts(0, 3, 0, 2, 2),
    )
    layer = WatchedLayer(
        name="relu",
        source="linear",
        activation="relu",
        has_hard_zeros=True,
        drop_rate=0.5,
        passes=1,
        causes=causes,
        unit_axes=(1,),
        unit_ids=counts(0, 1, 2, 3, 4),
        axis_is_guess=False,
    )
    assert layer.silent.tolist() == [True, True, False, False, False]
    for other in ({"has_hard_zeros": False}, {"activation": None}):
        assert not replace(layer, **other).silent.any()


def test_a_share_of_unexplained_zeros_is_of_the_values_that_were_seen() -> None:
    found = UnexplainedZeros(made_by="mul", seen_at="linear", zeros=3, values=12, passes=1)
    assert found.share == 0.25
    assert math.isnan(replace(found, zeros=0, values=0).share)


def assert_same(one: object, other: object) -> None:
    """Equal in every field, arrays to the last bit, NaN like NaN."""
    if is_dataclass(one):
        assert type(one) is type(other)
        for item in fields(one):
            assert_same(getattr(one, item.name), getattr(other, item.name))
    elif isinstance(one, tuple):
        assert isinstance(other, tuple)
        for part, counterpart in zip(one, other, strict=True):
            assert_same(part, counterpart)
    elif isinstance(one, np.ndarray):
        np.testing.assert_array_equal(one, other)
    else:
        assert one == other


def history() -> list[EpochRecord]:
    recipe = Recipe(widths=(5, 4), batch_size=10, epochs=2, holdout=1, probe_every=1)
    source = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (40, 6), dtype=torch.uint8, generator=source)
    data = Examples(images, images[:, 0].long() % 3)
    stack = Stack([recipe], inputs=6, classes=3)
    trained = epochs(stack, Optimizer(stack), training=data, validation=data)
    return [records[0] for records in trained]


def test_a_history_survives_the_way_through_its_file(tmp_path: Path) -> None:
    written = history()
    histories.save(written, tmp_path / "history.safetensors")
    read = histories.load(tmp_path / "history.safetensors")
    assert [record.ending for record in read] == [None, None, "finished"]
    for before, after in zip(written, read, strict=True):
        assert_same(replace(before, weights=None), after)


def test_some_epochs_survive_with_their_numbers_and_what_they_do_not_have() -> None:
    born, first, last = history()
    part = [
        replace(first, validation=None),
        replace(last, member=3, ending=None, epoch_seconds=None),
    ]
    read = histories.unpacked(*histories.packed(part), member=3)
    assert [record.epoch for record in read] == [1, 2]
    for before, after in zip(part, read, strict=True):
        assert_same(replace(before, weights=None, member=3), after)
    [alone] = histories.unpacked(*histories.packed([born]))
    assert_same(replace(born, weights=None), alone)


def test_dropped_inputs_have_shares_as_a_layer_has_and_others_none() -> None:
    born, after = record(0, 0, 5), record(1, 0, 5)
    inputs = ZeroCauses(counts(8, 0), counts(1, 0), counts(0, 7), counts(1, 3))
    named = metrics(replace(after, input_causes=inputs), born, born)
    found = {name: value for name, value in named.items() if name.endswith("/input")}
    assert found == {
        "zero/input": 0.6,
        "zero_dropped/input": 0.05,
        "zero_inactive/input": 0.35,
        "zero_both/input": 0.2,
    }
    assert not [name for name in metrics(after, born, born) if name.endswith("/input")]


def test_what_is_known_of_inputs_and_of_recycled_units_comes_back_from_its_file(
    tmp_path: Path,
) -> None:
    inputs = ZeroCauses(counts(8, 0), counts(1, 0), counts(0, 7), counts(1, 3))
    history = [
        replace(
            given,
            input_causes=inputs,
            layers=tuple(replace(layer, recycled=units) for layer in given.layers),
        )
        for given, units in ((record(0, 0, 5), None), (record(1, 0, 5), np.array([True, False])))
    ]
    histories.save(history, tmp_path / "history.safetensors")
    first, second = histories.load(tmp_path / "history.safetensors")
    assert first.input_causes is not None
    assert second.input_causes is not None
    assert second.input_causes.inactive.tolist() == [0, 7]
    assert second.input_causes.active.tolist() == [8, 0]
    assert first.layers[0].recycled is None
    assert second.layers[0].recycled is not None
    assert second.layers[0].recycled.tolist() == [True, False]
    plain = [record(0, 0, 5), record(1, 0, 5)]
    histories.save(plain, tmp_path / "plain.safetensors")
    for loaded in histories.load(tmp_path / "plain.safetensors"):
        assert loaded.input_causes is None
        assert loaded.layers[0].recycled is None
