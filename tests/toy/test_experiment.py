"""The toy: three arms from one start, everything recorded, every unit named."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from pipeline.records.metrics import metrics
from pipeline.steps.toy import check_the_first_layer
from pipeline.toy import experiment, notebook
from pipeline.toy.unit_table import COLUMNS, unit_rows
from why_zero import BrokenIdentity

DROPOUT_ARMS = ("relu+dropout", "dropout")


def trace(
    *, init: str = "notebook", drop_rate: float = 0.5, epochs: int = 1, seed: int = 0
) -> experiment.Trace:
    arms = experiment.recipes(drop_rate=drop_rate, learning_rate=0.01, epochs=epochs, seed=seed)
    return experiment.run(arms, init)


def test_all_arms_start_from_the_notebook_s_parameters() -> None:
    arrays = trace().arrays
    for arm in experiment.ARMS:
        for name, values in notebook.WEIGHTS.items():
            np.testing.assert_array_equal(arrays[f"{arm}/{name}"][0], values)


def test_the_samples_come_in_the_notebook_s_order_the_first_update_first() -> None:
    arrays = trace().arrays
    assert arrays["x"].tolist() == [list(x) for x, _ in notebook.SAMPLES]
    assert arrays["x"][0].tolist() == [6, 2, 3, 6]
    assert arrays["target"].tolist() == [1, 1, 0, 1, 0, 0, 1, 1, 1, 0]


def test_the_dropout_arms_share_their_masks_and_relu_drops_nothing() -> None:
    arrays = trace(epochs=3).arrays
    for layer in ("h1", "h2"):
        one, other = (arrays[f"{arm}/{layer}/mask"] for arm in DROPOUT_ARMS)
        np.testing.assert_array_equal(one, other)
        assert 0 < one.mean() < 1
        assert arrays[f"relu/{layer}/mask"].all()


@pytest.mark.parametrize("init", ["notebook", "random"])
def test_every_number_of_the_trace_follows_from_the_ones_before(init: str) -> None:
    arrays = trace(init=init, epochs=2).arrays
    for arm in experiment.ARMS:
        y = arrays["x"].astype(np.float64)
        keep = 1.0 if arm == "relu" else 0.5
        for number, layer in enumerate(("h1", "h2", "logits"), start=1):
            weight, bias = (arrays[f"{arm}/linear{number}.{p}"][:-1] for p in ("weight", "bias"))
            z = np.einsum("uoi,ui->uo", weight, y) + bias
            h = z if layer == "logits" or arm == "dropout" else np.maximum(z, 0)
            y = h if layer == "logits" else h * arrays[f"{arm}/{layer}/mask"] / keep
            for quantity, values in (("z", z), ("h", h), ("y", y)):
                np.testing.assert_allclose(
                    arrays[f"{arm}/{layer}/{quantity}"], values, rtol=1e-4, atol=1e-5
                )
        exponentials = np.exp(y)
        softmax = exponentials / exponentials.sum(1, keepdims=True)
        rows = np.arange(len(y))
        np.testing.assert_allclose(
            arrays[f"{arm}/loss"], -np.log(softmax[rows, arrays["target"]]), rtol=1e-4
        )
        onehot = np.eye(2)[arrays["target"]]
        np.testing.assert_allclose(
            arrays[f"{arm}/logits/gradient_z"], softmax - onehot, rtol=1e-4, atol=1e-6
        )


def test_plain_sgd_moves_every_parameter_by_its_gradient_times_the_learning_rate() -> None:
    arrays = trace(epochs=2).arrays
    for arm in experiment.ARMS:
        for name in notebook.WEIGHTS:
            values, gradients = arrays[f"{arm}/{name}"], arrays[f"{arm}/gradient_{name}"]
            np.testing.assert_allclose(np.diff(values, axis=0), -0.01 * gradients, atol=1e-7)


def test_the_gradient_gives_the_mask_back() -> None:
    """dy/dh = m / (1 - p), in every update of both dropout arms."""
    arrays = trace(drop_rate=0.25, epochs=3).arrays
    for arm in DROPOUT_ARMS:
        for layer in ("h1", "h2"):
            through = arrays[f"{arm}/{layer}/gradient_y"] * arrays[f"{arm}/{layer}/mask"] / 0.75
            np.testing.assert_allclose(arrays[f"{arm}/{layer}/gradient_h"], through, rtol=1e-6)


def test_fired_counts_the_samples_for_which_a_unit_is_on_in_evaluation_mode() -> None:
    arrays = trace(epochs=2).arrays
    x = np.array([x for x, _ in notebook.SAMPLES], dtype=np.float64)
    for arm in experiment.ARMS:
        for update in (0, 7, 20):
            y = x
            for number in (1, 2):
                weight, bias = (
                    arrays[f"{arm}/linear{number}.{part}"][update] for part in ("weight", "bias")
                )
                z = y @ weight.T + bias
                expected = (z > 0).sum(0)
                np.testing.assert_array_equal(arrays[f"{arm}/h{number}/fired"][update], expected)
                y = z if arm == "dropout" else np.maximum(z, 0)


def test_random_samples_are_digits_from_the_seed() -> None:
    first, again, other = (experiment.samples("random", seed) for seed in (1, 1, 2))
    assert first[0].shape == (10, 4)
    assert set(first[0].flatten().tolist()) <= set(range(10))
    assert set(first[1].tolist()) <= {0, 1}
    assert first[0].tolist() == again[0].tolist()
    assert first[0].tolist() != other[0].tolist()


def test_metrics_by_update_are_shares_of_three_units() -> None:
    history = trace().histories["relu"]
    assert len(history) == 11
    named = metrics(history[3], history[2], history[0])
    assert {round(named[f"zero/{layer}"] * 3) for layer in ("h1", "h2")} <= {0, 1, 2, 3}
    # The notebook's second and fifth units are closed for every sample from the start on.
    assert named["dead/h1"] == pytest.approx(1 / 3)
    assert named["born_dead/h2"] == pytest.approx(1 / 3)
    assert named["train/loss"] > 0


def test_the_table_says_what_every_hidden_unit_was() -> None:
    rows = {(row[0], row[1]): dict(zip(COLUMNS, row, strict=True)) for row in unit_rows(trace())}
    assert len(rows) == 18
    dead = rows["relu", "h1.2"]
    assert dead["at the end"] == "dead, born dead"
    assert dead["updates"] == "X" * 10
    assert dead["I"] == "10"
    linear = rows["dropout", "h1.2"]
    assert linear["at the end"] == "no ReLU, cannot die"
    assert set(linear["updates"]) == {"A", "D"}
    for row in rows.values():
        assert sum(int(row[cause]) for cause in "ADIB") == 10


def test_a_first_layer_unit_that_comes_back_is_a_broken_identity() -> None:
    """A planted fault: the trace says that the notebook's dead second unit fires in the end."""
    good = trace()
    check_the_first_layer(good)
    fired = good.arrays["relu/h1/fired"].copy()
    fired[-1, 1] = 4
    with pytest.raises(BrokenIdentity, match="firing again after update 10"):
        check_the_first_layer(replace(good, arrays={**good.arrays, "relu/h1/fired": fired}))


@pytest.mark.parametrize(
    ("path", "right", "wrong", "identity"),
    [
        # Forward all is as it should be.
        ("training.stack.Stack.onward", "h * (keep", "h - h.detach() + h.detach() * (keep", 7),
        # The pass and the stack's buffer agree on another p than the recipe's.
        (
            "config.recipe.Recipe.drop_rate_of",
            "return self.drop_rate\n",
            "return 0.8 * self.drop_rate\n",
            7,
        ),
        ("toy.experiment.run", "targets[None, row, None]", "1 - targets[None, row, None]", 12),
        ("training.measure.Watch._column", "_causes[index]", "_causes[(1, 0, 2)[index]]", 1),
    ],
)
def test_a_toy_that_contradicts_itself_is_stopped(
    plant: Callable[[str, str, str], None], path: str, right: str, wrong: str, identity: int
) -> None:
    plant(f"pipeline.{path}", right, wrong)
    with pytest.raises(BrokenIdentity) as caught:
        trace(epochs=2)
    assert caught.value.identity == identity


def test_an_update_of_the_toy_without_gradients_is_refused(
    plant: Callable[[str, str, str], None],
) -> None:
    """With h left out of what follows, it gets no gradient that could be compared."""
    plant("pipeline.training.stack.Stack.onward", "h * (keep", "self._activate(z) * (keep")
    with pytest.raises(ValueError, match="an update must leave gradients"):
        trace()


def test_a_toy_without_updates_is_a_census_of_what_was_born() -> None:
    empty = trace(epochs=0)
    assert "relu/h1/z" not in empty.arrays
    assert empty.arrays["relu/h1/fired"].shape == (1, 3)
    assert unit_rows(empty)[1][-2:] == ("dead, born dead", "")
