"""What the toy's trace says about its units between the updates, in evaluation mode."""

import itertools

import numpy as np
import pytest

from pipeline.toy import experiment


@pytest.fixture(scope="module")
def trace() -> experiment.Trace:
    arms = experiment.recipes(drop_rate=0.25, learning_rate=0.05, epochs=2, seed=3)
    return experiment.run(arms, "random")


def test_an_update_takes_the_sample_that_it_names(trace: experiment.Trace) -> None:
    rows = trace.arrays["sample"]
    np.testing.assert_array_equal(trace.arrays["samples/x"][rows], trace.arrays["x"])
    np.testing.assert_array_equal(trace.arrays["samples/target"][rows], trace.arrays["target"])
    assert sorted(rows[:10]) == sorted(rows[10:]) == list(range(10))


@pytest.mark.parametrize("arm", experiment.ARMS)
def test_every_z_of_the_ten_samples_follows_from_the_parameters(
    trace: experiment.Trace, arm: str
) -> None:
    for stand in (0, 7, 20):
        y = trace.arrays["samples/x"].astype(np.float64)
        for number, layer in enumerate(("h1", "h2", "logits"), start=1):
            z = y @ weight(trace, arm, number, stand).T + bias(trace, arm, number, stand)
            seen = trace.arrays[f"{arm}/{layer}/evaluation_z"][stand]
            np.testing.assert_allclose(seen, z, rtol=1e-4, atol=1e-5)
            y = np.maximum(z, 0) if "relu" in arm else z
            if "relu" in arm and layer != "logits":
                fired = trace.arrays[f"{arm}/{layer}/fired"][stand]
                np.testing.assert_array_equal(fired, (seen > 0).sum(0))


def test_what_wakes_a_unit_of_h2_is_counted_over_all_masks_and_samples(
    trace: experiment.Trace,
) -> None:
    for stand in (0, 7, 20):
        counts = np.zeros(3, dtype=int)
        for mask in itertools.product([0, 1], repeat=3):
            for x in trace.arrays["samples/x"].astype(np.float64):
                z1 = weight(trace, "relu+dropout", 1, stand) @ x
                h1 = np.maximum(z1 + bias(trace, "relu+dropout", 1, stand), 0)
                z2 = weight(trace, "relu+dropout", 2, stand) @ (h1 * mask / 0.75)
                counts += z2 + bias(trace, "relu+dropout", 2, stand) > 0
        np.testing.assert_array_equal(trace.arrays["relu+dropout/h2/mask_fired"][stand], counts)


def test_without_dropout_every_mask_keeps_everything(trace: experiment.Trace) -> None:
    arrays = trace.arrays
    np.testing.assert_array_equal(arrays["relu/h2/mask_fired"], 8 * arrays["relu/h2/fired"])


def test_a_record_calls_dead_under_every_mask_what_is_dead_and_woken_by_none(
    trace: experiment.Trace,
) -> None:
    for arm in ("relu", "relu+dropout"):
        for stand, record in enumerate(trace.histories[arm]):
            fired = [trace.arrays[f"{arm}/{layer}/fired"][stand] for layer in ("h1", "h2")]
            woken = trace.arrays[f"{arm}/h2/mask_fired"][stand]
            np.testing.assert_array_equal(record.layers[0].mask_dead, fired[0] == 0)
            np.testing.assert_array_equal(
                record.layers[1].mask_dead, (fired[1] == 0) & (woken == 0)
            )
    assert all(record.layers[0].mask_dead is None for record in trace.histories["dropout"])


def weight(trace: experiment.Trace, arm: str, number: int, stand: int) -> np.ndarray:
    return trace.arrays[f"{arm}/linear{number}.weight"][stand].astype(np.float64)


def bias(trace: experiment.Trace, arm: str, number: int, stand: int) -> np.ndarray:
    return trace.arrays[f"{arm}/linear{number}.bias"][stand].astype(np.float64)
