"""What texts settings take, and what they say of others."""

from dataclasses import Field, fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.options import (
    STEPS,
    MainSettings,
    MnistSettings,
    OpenSettings,
    PredictSettings,
    SweepSettings,
)
from pipeline.config.recipe import Recipe
from pipeline.config.settings import argument, canonical, declared, parsed, texts
from pipeline.errors import UsageError


@pytest.mark.parametrize("text", ["-0.1", "1", "1.5", "nan", "inf", "half", ""])
def test_a_drop_rate_outside_its_range_is_refused_with_rule_and_value(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parsed(MnistSettings, {"drop_rate": text})
    assert str(caught.value) == (
        "drop_rate must be a number in [0, 1), or one for each layer with dashes between them, "
        f"such as 0.5-0.5-0.2, got {text!r}"
    )
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    "text", ["0:1e999999:1", "0:0.9:1e-999999", "0:nan:1", "0:0.9:0", "0.9:0:0.1", "0:inf:1", "::"]
)
def test_a_range_without_an_end_in_reach_is_refused_at_once(text: str) -> None:
    with pytest.raises(UsageError, match="drop_rates must be numbers"):
        parsed(MainSettings, {"drop_rates": text})


def test_a_range_holds_its_ends() -> None:
    assert parsed(MainSettings, {"drop_rates": "0:0.3:0.1"}).drop_rates == (0.0, 0.1, 0.2, 0.3)
    assert parsed(MainSettings, {"drop_rates": "0.5:0.5:0.1"}).drop_rates == (0.5,)


def test_what_no_store_could_write_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match=r"data must be text in UTF-8, got 'a\\udcff'"):
        parsed(MainSettings, {"data": "a\udcff"})


def test_more_passes_than_memory_could_hold_are_refused() -> None:
    with pytest.raises(UsageError, match="passes must be a whole number from 0 to 100,000"):
        parsed(PredictSettings, {"passes": str(2**63 - 1)}, ("image.png",))


@pytest.mark.parametrize("text", ["0", "256,0", "-3", "2.5", "256,,128", "many", ""])
def test_widths_that_are_not_positive_whole_numbers_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="widths must be whole numbers of at least 1"):
        parsed(MnistSettings, {"widths": text})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("activation", "gelu"),
        ("init", "xavier"),
        ("init", "normal"),
        ("init", "normal:0"),
        ("init", "normal:nan"),
        ("init", "he:1"),
        ("scaling", "255"),
        ("max_norm", "-1"),
        ("learning_rate_decay", "0"),
        ("learning_rate_decay", "1.01"),
        ("optimizer", "Adam"),
        ("precision", "float16"),
        ("device", "tpu"),
        ("device", "cuda:"),
        ("device", "cuda:01"),
        ("device", "cuda:-1"),
        ("device", "cuda:99999999999999999999"),
        ("output_dropout", "maybe"),
        ("epochs", "-1"),
        ("batch_size", "0"),
        ("learning_rate", "0"),
        ("momentum", "1"),
        ("data", " "),
    ],
)
def test_a_value_that_breaks_its_rule_is_refused_by_name(name: str, text: str) -> None:
    with pytest.raises(UsageError, match=f"^{name} must be "):
        parsed(MnistSettings, {name: text})


@pytest.mark.parametrize("text", ["0.50", " 0.5 ", "5e-1", ".5"])
def test_all_spellings_of_a_number_are_one_value(text: str) -> None:
    settings = parsed(MnistSettings, {"drop_rate": text})
    assert settings.drop_rate == 0.5
    assert texts(settings)["drop_rate"] == "0.5"


def test_minus_zero_and_zero_are_one_value() -> None:
    assert texts(parsed(MnistSettings, {"drop_rate": "-0.0"}))["drop_rate"] == "0"


def test_yes_and_no_are_written_out() -> None:
    settings = parsed(MnistSettings, {"output_dropout": "False", "force": "true"})
    assert (settings.output_dropout, settings.force) == (False, True)


@pytest.mark.parametrize("chooser", [{"patience": "3"}, {"select": "best"}])
def test_nothing_may_be_chosen_by_the_test_set(chooser: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="it would choose by the test set"):
        parsed(MnistSettings, {"holdout": "0", **chooser})


def test_momentum_belongs_to_sgd() -> None:
    with pytest.raises(UsageError, match="momentum must be 0 with optimizer=adam"):
        parsed(MnistSettings, {"momentum": "0.9"})
    assert parsed(MnistSettings, {"momentum": "0.9", "optimizer": "sgd"}).momentum == 0.9


def test_the_main_job_takes_a_list_of_drop_rates() -> None:
    assert parsed(MainSettings, {"drop_rates": "0, 0.50,.2"}).drop_rates == (0.0, 0.5, 0.2)


def test_values_without_a_name_are_taken_as_they_are_and_checked() -> None:
    chosen = parsed(PredictSettings, {"passes": " 5 "}, ["a.png", " b ", "-"])
    assert (chosen.images, chosen.passes) == (("a.png", " b ", "-"), 5)
    with pytest.raises(UsageError, match=r"^images must be a file name, .* got ''"):
        parsed(PredictSettings, {}, ["a.png", ""])


def test_at_most_one_field_of_a_step_takes_values_without_a_name() -> None:
    taken = {step: argument(settings) for step, settings in STEPS.items()}
    assert [step for step, found in taken.items() if found] == [
        *("open", "publish", "explore", "predict", "explain")
    ]
    assert "images" not in texts(PredictSettings(images=("a.png",)))


@pytest.mark.parametrize("step", STEPS)
def test_every_default_is_a_value_that_its_own_kind_takes(step: str) -> None:
    for item, kind, _ in declared(STEPS[step]):
        assert kind.parse(canonical(item.default)) == item.default, item.name


@given(st.floats(0, 1, exclude_max=True))
def test_a_rate_survives_the_way_through_text(rate: float) -> None:
    assert parsed(Recipe, {"drop_rate": canonical(rate)}).drop_rate == rate


@pytest.mark.parametrize(
    ("activation", "drop_rate", "arm", "name"),
    [
        ("relu", 0.0, "relu", "p=0 s0"),
        ("relu", 0.5, "relu+dropout", "p=0.5 s0"),
        ("none", 0.25, "dropout", "p=0.25 s0 linear"),
        ("none", 0.0, "linear", "p=0 s0 linear"),
        ("sigmoid", 0.0, "sigmoid", "p=0 s0 sigmoid"),
        ("leaky_relu", 0.5, "leaky+dropout", "p=0.5 s0 leaky"),
    ],
)
def test_a_recipe_has_an_arm_and_is_named_by_its_rate_and_seed(
    activation: str, drop_rate: float, arm: str, name: str
) -> None:
    recipe = parsed(Recipe, {"activation": activation, "drop_rate": str(drop_rate)})
    assert (recipe.arm, recipe.name) == (arm, name)


@pytest.mark.parametrize(
    ("text", "rates", "canonical_text"),
    [
        ("0.5-0.2-0", (0.5, 0.2, 0.0), "0.5-0.2-0"),
        (" 0.50 - 0.2 - 0 ", (0.5, 0.2, 0.0), "0.5-0.2-0"),
        ("1e-05-0.2-5e-1", (1e-05, 0.2, 0.5), "1e-05-0.2-0.5"),
        ("0.3-0.3-0.3", (0.3, 0.3, 0.3), "0.3"),  # one network, however it is written
        ("0.3", (0.3, 0.3, 0.3), "0.3"),
        ("1e-05", (1e-05, 1e-05, 1e-05), "1e-05"),
    ],
)
def test_a_drop_rate_may_be_given_by_layer(
    text: str, rates: tuple[float, ...], canonical_text: str
) -> None:
    recipe = parsed(Recipe, {"drop_rate": text, "widths": "8,4"})
    assert recipe.layers == ("h1", "h2", "logits")
    assert tuple(map(recipe.drop_rate_of, recipe.layers)) == rates
    assert recipe.parameters["drop_rate"] == canonical_text
    assert recipe.name == f"p={canonical_text} s0 w=8-4"
    assert parsed(Recipe, recipe.parameters) == recipe
    assert recipe.mean_drop_rate == pytest.approx((rates[0] + rates[1]) / 2)


def test_logits_that_are_not_dropped_have_no_rate() -> None:
    recipe = parsed(Recipe, {"drop_rate": "0.5-0.2", "widths": "8,4", "output_dropout": "false"})
    assert list(map(recipe.drop_rate_of, recipe.layers)) == [0.5, 0.2, 0.0]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"drop_rate": "0.5-0.2"},
            (
                "drop_rate must be one number, or 3 with 2 hidden layers and output_dropout=true, "
                "got 2 (0.5-0.2): give one for each hidden layer and one for the logits; networks "
                "with other numbers of layers need a sweep of their own"
            ),
        ),
        (
            {"drop_rate": "0.5-0.2-0", "output_dropout": "false"},
            (
                "drop_rate must be one number, or 2 with 2 hidden layers and output_dropout=false, "
                "got 3 (0.5-0.2-0): give one for each hidden layer and none for the logits; "
                "networks with other numbers of layers need a sweep of their own"
            ),
        ),
        (
            {"drop_rate": "0.5,0.2,0"},
            (
                "drop_rate must be a number in [0, 1), or one for each layer with dashes between "
                "them, such as 0.5-0.5-0.2, got '0.5,0.2,0': write 0.5-0.2-0"
            ),
        ),
        (
            {"recycle_below": "0.1"},
            (
                "recycle_below must be 0 with recycle_every=0, got 0.1: give recycle_every=1 to "
                "recycle after every epoch"
            ),
        ),
        (
            {"recycle_every": "2", "activation": "none"},
            (
                "recycle_every must be 0 with activation=none, got 2: units without a ReLU do not "
                "die; leave it at 0, or give activation=relu"
            ),
        ),
    ],
)
def test_rates_by_layer_and_recycling_fit_the_network(settings: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parsed(Recipe, {"widths": "8,4", **settings})
    assert str(caught.value) == said


def test_rates_by_layer_stand_in_a_list_of_rates() -> None:
    rates = parsed(SweepSettings, {"drop_rates": "0:0.2:0.1,0.5-0.2-0,0.1"}).drop_rates
    assert rates == (0.0, 0.1, 0.2, (0.5, 0.2, 0.0))
    assert canonical((*rates[3:], *rates[:3])) == "0.5-0.2-0,0,0.1,0.2"


@pytest.mark.parametrize(
    ("settings", "arm"),
    [
        ({"drop_rate": "0"}, "relu"),
        ({"drop_rate": "0", "input_drop_rate": "0.2"}, "relu+dropout"),
        ({"drop_rate": "0-0-0.5", "widths": "8,4"}, "relu+dropout"),
        ({"drop_rate": "0", "input_drop_rate": "0.2", "activation": "none"}, "dropout"),
    ],
)
def test_whatever_is_dropped_makes_the_arm_one_with_dropout(
    settings: dict[str, str], arm: str
) -> None:
    assert parsed(Recipe, settings).arm == arm


def test_recipes_from_before_a_setting_was_there_have_its_default() -> None:
    known = {"activation": "relu", "drop_rate": "0.5", "output_dropout": "true", "widths": "8,4"}
    recipe = parsed(Recipe, known)
    assert (recipe.input_drop_rate, recipe.recycle_every, recipe.recycle_below) == (0, 0, 0)


OTHER_VALUES = {
    "epochs": 5,
    "batch_size": 64,
    "momentum": 0.9,
    "weight_decay": 1e-4,
    "holdout": 100,
    "patience": 3,
    "select": "best",
    "precision": "bfloat16",
    "probe_every": 1,
    "mask_passes": 0,
    "activation": "none",
    "output_dropout": False,
    "widths": (64, 32),
    "optimizer": "sgd",
    "learning_rate": 0.01,
    "learning_rate_decay": 0.998,
    "init": "he",
    "zero_biases": True,
    "scaling": "standard",
    "max_norm": 2.0,
    "seed": 7,
    "drop_rate": 0.25,
    "input_drop_rate": 0.2,
    "recycle_every": 2,
    "recycle_below": 0.1,
}
# What a setting needs beside it.
NEEDED = {"momentum": {"optimizer": "sgd"}, "recycle_below": {"recycle_every": 1}}


@pytest.mark.parametrize("item", fields(Recipe), ids=lambda item: item.name)
def test_whatever_differs_from_the_defaults_is_in_the_name(item: Field[object]) -> None:
    """So no two networks of a sweep share a name."""
    without = Recipe(**NEEDED.get(item.name, {}))  # type: ignore[arg-type]
    changed = replace(without, **{item.name: OTHER_VALUES[item.name]})
    assert changed.name != without.name
    assert (changed.label == without.label) == (item.name == "seed")


def test_a_name_begins_with_what_tells_networks_of_a_sweep_apart() -> None:
    """A list cuts off the end of a name."""
    recipe = Recipe(
        drop_rate=0.2, seed=1, widths=(64, 32), optimizer="sgd", learning_rate=0.01, epochs=5
    )
    assert recipe.name == "p=0.2 s1 w=64-32 sgd lr=0.01 epochs=5"
    assert recipe.label == "p=0.2 w=64-32 sgd lr=0.01 epochs=5"


def test_every_option_of_a_network_is_in_its_name_in_few_letters() -> None:
    recipe = Recipe(
        activation="leaky_relu",
        init="normal:0.01",
        zero_biases=True,
        scaling="standard",
        max_norm=2.0,
        learning_rate_decay=0.998,
    )
    assert recipe.label == (
        "p=0.5 leaky decay=0.998 max-norm=2 init=normal:0.01 zero biases standard inputs"
    )


@pytest.mark.parametrize("text", ["normal:0.010", "normal: 1e-2", "normal:.01"])
def test_all_spellings_of_a_normal_start_are_one_value(text: str) -> None:
    assert parsed(MnistSettings, {"init": text}).init == "normal:0.01"
    assert parsed(SweepSettings, {"inits": f"he,{text},he"}).inits == ("he", "normal:0.01")


def test_a_sweep_s_axes_take_ranges_of_norms_and_decays() -> None:
    settings = parsed(SweepSettings, {"max_norms": "0:3:1.5", "learning_rate_decays": "0.5,1"})
    assert settings.max_norms == (0.0, 1.5, 3.0)
    assert settings.learning_rate_decays == (0.5, 1.0)


@pytest.mark.parametrize("text", ["0..4", "0:4", " 0 ... 4", "0–4"])
def test_a_range_of_seeds_that_is_written_otherwise_is_answered_with_the_way_to_write_it(
    text: str,
) -> None:
    with pytest.raises(UsageError, match=r"got '.*': write 0-4$"):
        parsed(SweepSettings, {"seeds": text})


def test_what_cannot_be_guessed_is_not() -> None:
    with pytest.raises(UsageError, match=r"got 'many'$"):
        parsed(SweepSettings, {"seeds": "many"})


def test_at_most_one_run_is_opened() -> None:
    assert parsed(OpenSettings, {}, ("abc",)).run == ("abc",)
    assert parsed(OpenSettings, {}).run == ()
    with pytest.raises(UsageError, match="run must be at most one, got 'abc' 'def'"):
        parsed(OpenSettings, {}, ("abc", "def"))
    with pytest.raises(UsageError, match="run must be the id of a run, got 'no id!'"):
        parsed(OpenSettings, {}, ("no id!",))
