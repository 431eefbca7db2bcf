"""What each study makes of its networks, on evidence made by hand."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.config.recipe import Recipe
from pipeline.data.images import ImageData, Part, assemble
from pipeline.records import EpochRecord, LayerRecord, Score
from pipeline.records.result import Result
from pipeline.studies import STUDIES, Evidence, dying, post, srivastava_rate
from pipeline.studies.srivastava_monte_carlo import COUNTS, averaged_errors
from pipeline.studies.srivastava_sparsity import activations
from pipeline.toy import notebook
from pipeline.training.stack import Stack
from why_zero.records import UnitStates, ZeroCauses

MakeEvidence = Callable[..., Evidence]


def layer(name: str, fired: list[int], mask_dead: list[bool] | None = None) -> LayerRecord:
    counts = np.array(fired)
    return LayerRecord(
        name=name,
        causes=ZeroCauses(*(np.zeros(len(fired), np.int64) for _ in range(4))),
        states=UnitStates(samples=10, fired=counts, reached=counts, magnitude=counts / 10),
        mask_dead=None if mask_dead is None else np.array(mask_dead),
    )


def result(
    recipe: Recipe,
    *,
    fired: list[int] | None = None,
    accuracy: float = 0.9,
    test: float = 0.9,
    train: float = 0.9,
    dataset: str = "mnist",
) -> Result:
    """A network with one hidden layer; what fired is that of every epoch."""
    history = [
        EpochRecord(
            member=0,
            epoch=epoch,
            layers=(layer("h1", fired or [0, 5, 5, 5], [False] * len(fired or [0] * 4)),),
            train=Score(1.0, 0.5) if epoch else None,
            train_eval=Score(0.3, train),
            validation=Score(0.2, accuracy),
            epoch_seconds=2.0 if epoch else None,
        )
        for epoch in range(recipe.epochs + 1)
    ]
    return Result(
        recipe=recipe,
        history=history,
        chosen=history[-1],
        test=Score(0.3, test),
        run_id=recipe.name + dataset,
        page="#/a",
        device="cpu",
        device_name="cpu (a make)",
        dataset=dataset,
        dataset_digest="abc",
        stack_size=1,
    )


def rows(name: str, evidence: Evidence) -> dict[str, Any]:
    return {row.what: row for row in STUDIES[name].find(evidence).rows}


def test_every_printed_number_of_the_notebook_is_found(evidence: MakeEvidence) -> None:
    found = STUDIES["notebook"].find(evidence()).rows
    assert len(found) == 28
    assert [row.what for row in found if not row.agrees] == []


def test_a_parameter_that_is_off_by_a_hundredth_no_longer_gives_the_notebook_s_numbers(
    evidence: MakeEvidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = {name: values.copy() for name, values in notebook.WEIGHTS.items()}
    weights["linear2.weight"][0, 0] += 0.01
    monkeypatch.setattr(notebook, "WEIGHTS", weights)
    wrong = [row.what for row in STUDIES["notebook"].find(evidence()).rows if not row.agrees]
    # With ReLU alone this unit is closed anyway; with Dropout alone it is dropped.
    assert {what.split("[")[0] for what in wrong} == {"relu+dropout: h2", "relu+dropout: logits"}


def test_the_least_loss_with_dropped_logits_is_what_hand_arithmetic_says() -> None:
    # One other logit, p = 1/2: half the time nothing, half the time ln 2.
    assert post._mean_logarithm(1, 0.5) == pytest.approx(math.log(2) / 2)


def test_the_post_s_numbers_are_held_against_single_networks(evidence: MakeEvidence) -> None:
    recipes = [network.recipe for network in STUDIES["post"].networks("quick")]
    networks = [
        result(recipe, accuracy=0.97 + 0.002 * recipe.seed + 0.01 * (not recipe.output_dropout))
        for recipe in recipes
    ]
    found = rows("post", evidence(*networks))
    row = found["epoch 10: validation accuracy"]
    assert (row.rule, row.published.value) == ("one network", pytest.approx(97.44))
    # Seeds 0, 1, 2 of those that drop their logits.
    assert row.ours.mean == pytest.approx(97.2)
    cost = found["accuracy on the test images: logits dropped minus kept"]
    assert cost.ours.mean == pytest.approx(-1.0)
    assert found["ten epochs of one network"].ours.mean == pytest.approx(20.0)


def test_the_best_rate_is_that_with_the_lowest_test_error(evidence: MakeEvidence) -> None:
    """Errors rise by a point for each tenth away from keeping 0.6."""
    networks = [
        result(
            network.recipe,
            test=0.98 - 0.1 * abs(0.4 - network.recipe.drop_rate_of("h1")),
            train=0.5,
        )
        for network in STUDIES["srivastava-rate"].networks("full")
    ]
    found = rows("srivastava-rate", evidence(*networks, scale="full"))
    assert found["pn fixed: the p with the lowest test error"].ours.mean == 0.6
    assert found["n fixed: test error at p = 0.1"].ours.mean == pytest.approx(7.0)
    assert found["n fixed: test error at p = 1 minus at p = 0.6"].ours.mean == pytest.approx(4.0)
    flat = found["n fixed: range of test errors from p = 0.4 to 0.8"]
    assert flat.ours.mean == pytest.approx(2.0)
    assert flat.agrees is False


def test_the_quick_scale_states_nothing_about_a_rate_that_it_leaves_out(
    evidence: MakeEvidence,
) -> None:
    networks = [result(n.recipe) for n in STUDIES["srivastava-rate"].networks("quick")]
    found = rows("srivastava-rate", evidence(*networks))
    assert len(found) == 3
    assert not any("0.1" in what for what in found)


def test_where_pn_is_fixed_as_many_units_are_kept_at_every_rate() -> None:
    for kept in srivastava_rate.KEPT["full"]:
        widths = srivastava_rate._expected("full", kept)
        assert [width * kept for width in widths] == pytest.approx([256, 256, 512], abs=0.5)


def test_dead_units_are_shares_of_all_hidden_units() -> None:
    record = result(Recipe(widths=(4,))).history[0]
    both = replace(record, layers=(*record.layers, layer("h2", [0, 0, 3, 3], [True, False] * 2)))
    assert dying.dead_share(both) == pytest.approx(100 * 3 / 8)
    assert dying.mask_dead_share(both) == pytest.approx(100 * 2 / 8)


def test_what_a_drop_rate_changes_is_counted_in_pairs_of_one_seed(evidence: MakeEvidence) -> None:
    """At p = 0.5 one unit of four is dead; without dropout none, one and one."""
    networks = []
    for network in STUDIES["dying"].networks("quick"):
        recipe = network.recipe
        is_one = bool(recipe.drop_rate) or recipe.seed > 0
        fired = [0, 5, 5, 5] if is_one else [5, 5, 5, 5]
        networks.append(result(recipe, fired=fired, dataset=network.data))
    found = rows("dying", evidence(*reversed(networks)))
    change = found[
        "mnist, init default, learning rate 0.001, all layers: dead at drop rate 0.5 minus dead "
        "without dropout"
    ]
    assert change.ours.mean == pytest.approx(25 / 3)
    assert "cannot be told from none" in change.note


def test_what_initial_weights_change_is_counted_at_one_drop_rate(evidence: MakeEvidence) -> None:
    """Of four units none is dead with He's weights, and with others one, or with dropout two."""
    networks = []
    for network in STUDIES["dying"].networks("quick"):
        dead = 0 if network.recipe.init == "he" else 1 + bool(network.recipe.drop_rate)
        fired = [0] * dead + [5] * (4 - dead)
        networks.append(result(network.recipe, fired=fired, dataset=network.data))
    found = rows("dying", evidence(*networks))
    for rate, change in ((0, -25), (0.5, -50)):
        row = found[
            f"fashion-mnist, learning rate 0.001, drop rate {rate:g}, all layers: dead with init "
            "he minus dead with default"
        ]
        assert row.ours.mean == pytest.approx(change)
        assert row.ours.count == 3


def test_a_difference_is_told_by_student_s_test_of_pairs() -> None:
    """Student's t is 2 / (1 / √3) = 3.464 with 2 degrees of freedom: p = 0.0742."""
    change = dying._Change("a change", (1.0, 2.0, 3.0))
    assert change.p_value == pytest.approx(0.0742, abs=5e-5)


def test_each_row_of_table_2_is_held_against_its_own_networks(evidence: MakeEvidence) -> None:
    """Errors are 2, 4, 5 and 6 %, and a tenth of a point more with each seed."""
    percent = {("sigmoid", False): 2.0, ("sigmoid", True): 4.0, ("relu", True): 5.0}
    networks = []
    for network in STUDIES["srivastava-table2"].networks("quick"):
        recipe = network.recipe
        error = percent[recipe.activation, recipe.has_dropout] + bool(recipe.max_norm)
        networks.append(result(recipe, test=1 - (error + 0.1 * recipe.seed) / 100))
    found = STUDIES["srivastava-table2"].find(evidence(*reversed(networks))).rows
    found, gains = found[:4], found[4:]
    assert [row.ours.mean for row in found] == pytest.approx([2.1, 4.1, 5.1, 6.1])
    assert [row.published.value for row in found if row.published] == [1.60, 1.35, 1.25, 1.06]
    # One more seed lies within 4.303 s √(4/3) = 0.497 of the mean in 95 % of cases.
    assert [row.agrees for row in found] == [False] * 4
    assert [row.ours.mean for row in gains] == pytest.approx([2, 1, 1])
    assert [row.agrees for row in gains] == [False] * 3


def test_the_networks_of_table_2_are_those_of_the_paper() -> None:
    recipes = {network.recipe for network in STUDIES["srivastava-table2"].networks("full")}
    dropped = {recipe for recipe in recipes if recipe.has_dropout}
    assert {(recipe.drop_rate, recipe.input_drop_rate) for recipe in dropped} == {(0.5, 0.2)}
    assert {recipe.widths for recipe in recipes - dropped} == {(800, 800)}
    assert {recipe.widths for recipe in dropped if recipe.max_norm} == {(1024,) * 3, (4096,) * 2}
    assert {recipe.momentum for recipe in recipes} == {0.95}


def dormant_after(recipe: Recipe, counts: list[int]) -> Result:
    """A network with so many dormant units of four in each epoch: they fire 0 of 10 times."""
    plain = result(recipe)
    history = [
        replace(record, layers=(layer("h1", [0] * count + [5] * (4 - count)),))
        for record, count in zip(plain.history, counts, strict=True)
    ]
    return replace(plain, history=history, chosen=history[-1])


@pytest.mark.parametrize(("recycled", "agrees"), [(1, True), (3, False)])
def test_recycling_is_judged_by_the_last_epoch_in_pairs_of_one_seed(
    recycled: int, *, agrees: bool, evidence: MakeEvidence
) -> None:
    """Two of four units are dormant without recycling."""
    networks = [
        dormant_after(recipe, [0, 4, 4, 4, recycled if recipe.recycle_every else 2])
        for recipe in (network.recipe for network in STUDIES["redo"].networks("quick"))
    ]
    found = rows("redo", evidence(*networks))
    assert found["drop rate 0, never recycled: dormant"].ours.mean == pytest.approx(50)
    change = found["drop rate 0.5: dormant with recycling minus without"]
    assert change.ours.mean == pytest.approx(25 * recycled - 50)
    assert change.agrees is agrees


@pytest.fixture
def small() -> ImageData:
    source = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (60, 3, 2), generator=source, dtype=torch.uint8)
    part = Part(images, torch.randint(0, 3, (60,), generator=source))
    return assemble(
        "small", part, test=part, classes=("a", "b", "c"), source="here", licence="none"
    )


def test_without_dropout_every_average_has_the_error_of_evaluation_mode(small: ImageData) -> None:
    recipe = Recipe(drop_rate=0.0, widths=(5,))
    stack = Stack([recipe], inputs=6, classes=3)
    logits = stack((small.test_images.flatten(1) / 255)[None])[0]
    error = 100 * float((logits.argmax(1) != small.test_labels).float().mean())
    found = averaged_errors(recipe, stack.state(0), small, passes=10)
    assert {count: len(errors) for count, errors in found.items()} == {
        count: 10 // count for count in COUNTS
    }
    assert all(errors == pytest.approx(error) for errors in found.values())


def test_masks_differ_from_pass_to_pass_and_are_the_same_each_time(small: ImageData) -> None:
    """Single masks differ, and the same masks are drawn again."""
    recipe = Recipe(drop_rate=0.5, widths=(40,), output_dropout=False)
    weights = Stack([recipe], inputs=6, classes=3).state(0)
    singles = averaged_errors(recipe, weights, small, passes=2)[1]
    again = averaged_errors(recipe, weights, small, passes=2)[1]
    assert singles.tolist() == again.tolist()
    assert len(set(singles.tolist())) == 2


def test_activations_are_those_of_evaluation_mode(small: ImageData) -> None:
    recipe = Recipe(drop_rate=0.5, widths=(5,))
    weights = Stack([recipe], inputs=6, classes=3).state(0)
    x = small.test_images.flatten(1).double().numpy() / 255
    z = x @ weights["linear1.weight"].T + weights["linear1.bias"]
    seen = activations(recipe, weights, small)
    np.testing.assert_allclose(seen.every.reshape(60, 5), np.maximum(z, 0), atol=1e-6)
    np.testing.assert_allclose(seen.of_units, np.maximum(z, 0).mean(0), atol=1e-6)
    assert seen.zero_share == pytest.approx(100 * (z <= 0).mean())
