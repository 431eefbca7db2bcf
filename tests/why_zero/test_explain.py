"""`explain`: its numbers against counts by hand, its page, and that it leaves all as it was."""

import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from why_zero import Explanation, Owner, WhyZeroError, explain

# 40 samples: the first feature is 1, the second 1 and -1 in turn.
X = torch.tensor([[1.0, 1.0], [1.0, -1.0]]).repeat(20, 1)
ROOT = Path(__file__).parents[2]
HOSTILE = "<script>alert('1')</script>"


def tiny(drop_rate: float = 1.0) -> nn.Sequential:
    """Its z is 1, the second feature, and -5: always on, on for every second sample, dead."""
    module = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Dropout(drop_rate), nn.Linear(3, 2))
    with torch.no_grad():
        module[0].weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]))
        module[0].bias.copy_(torch.tensor([0.0, 0.0, -5.0]))
        module[3].weight.copy_(torch.tensor([[1.0, 2.0, 3.0], [-1.0, 1.0, 1.0]]))
    return module


class Hostile(nn.Module):
    """A network whose parts have names that are markup."""

    def __init__(self) -> None:
        super().__init__()
        self.add_module(HOSTILE, nn.Sequential(nn.Linear(2, 40), nn.ReLU(), nn.LSTM(40, 2)))

    def forward(self, x: Tensor) -> Tensor:
        return getattr(self, HOSTILE)(x)[0]


class Reader(HTMLParser):
    """What a page is made of: its tags, and their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


def test_zeros_by_cause_are_those_counted_by_hand_in_both_modes() -> None:
    found = explain(tiny(), [X[:30], X[30:]], passes=2)
    [training], [evaluation] = found.training.values(), found.evaluation.values()
    # p = 1 drops all, twice through 40 samples.
    assert training.causes.dropped.tolist() == [80, 40, 0]
    assert training.causes.both.tolist() == [0, 40, 80]
    assert (training.passes, evaluation.passes) == (4, 2)
    assert evaluation.causes.active.tolist() == [40, 20, 0]
    assert evaluation.causes.inactive.tolist() == [0, 20, 40]
    assert found.unexplained == ()
    assert (found.samples, found.passes, found.notes) == (40, 2, {})


def test_the_census_the_owners_and_what_can_be_removed_are_those_counted_by_hand() -> None:
    found = explain(tiny(), X)
    [states] = found.states.values()
    assert states.fired.tolist() == [40, 20, 0]
    [owner] = found.owners
    assert owner == Owner(path="0", kind="Linear", units=3, dead=(2,), low_biases=1)
    assert found.compacted
    assert found.compacted.removed == {"0": (2,)}
    # 2 x 3 + 3 and 3 x 2 + 2; without the unit 2 x 2 + 2 and 2 x 2 + 2.
    assert [(part.path, part.kind, part.parameters) for part in found.parts] == [
        ("0", "Linear", 9),
        ("3", "Linear", 8),
    ]
    assert (found.parameters, found.compacted.parameters_after) == (17, 12)
    assert [each.saw.split(" ", 1)[0] for each in found.advice] == ["1", "Without"]


def test_a_low_bias_is_below_zero_and_below_every_living_units() -> None:
    module = tiny()
    with torch.no_grad():
        module[0].weight[2] = torch.tensor([-9.0, 0.0])
        for biases, low in (
            ([-0.5, 0.0, -0.5], 0),
            ([-0.5, 0.0, -0.6], 1),
            ([1.0, 2.0, 0.5], 0),
            ([1.0, 2.0, -0.1], 1),
        ):
            module[0].bias.copy_(torch.tensor(biases))
            assert explain(module, X).owners[0].low_biases == low, biases


def test_the_row_of_dead_units_says_how_many_biases_are_low_if_there_are_biases() -> None:
    module = tiny()
    row = "<td>1 of 3</td><td class='words'>2</td><td>{}</td><td>1</td>"
    assert row.format(1) in explain(module, X).html()
    module[0].bias = None
    assert row.format("-") in explain(module, X).html()


def test_numbers_of_unexplained_zeros_are_set_to_the_right_and_words_to_the_left() -> None:
    page = explain(nn.Sequential(nn.Linear(2, 2)), torch.zeros(40, 2)).html()
    assert "<th scope='col' class='words'>mode</th><th scope='col'>zeros</th>" in page


def test_what_is_shared_is_counted_once() -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    module[2].weight = module[0].weight
    found = explain(module, X)
    assert found.parameters == 4 + 2 + 2


def state(module: nn.Module) -> list[Any]:
    """All of a module that could be changed."""
    return [
        {name: tensor.clone() for name, tensor in module.state_dict().items()},
        [part.training for part in module.modules()],
        [(p.requires_grad, p.grad) for p in module.parameters()],
        [len(part._forward_hooks) + len(part._forward_pre_hooks) for part in module.modules()],
        torch.get_rng_state(),
        list(np.random.get_state()[1]),  # noqa: NPY002
    ]


def same(one: object, other: object) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


@pytest.mark.parametrize("is_training", [True, False])
def test_module_samples_and_generators_are_as_they_were_bit_by_bit(
    network: nn.Module, batches: list[tuple[Tensor, Tensor]], is_training: bool
) -> None:
    network.train(is_training)
    next(network.parameters()).requires_grad_(False)
    before, samples = state(network), [x.clone() for x, _ in batches]
    found = explain(network, batches)
    assert found.training
    assert found.samples == 80
    assert same(before, state(network))
    assert all(torch.equal(x, was) for (x, _), was in zip(batches, samples, strict=True))


def test_pythons_generator_is_as_it_was_too() -> None:
    # In a process of its own: the checks of types in the tests draw from it.
    program = """
import random, torch, why_zero
class Drawing(torch.nn.Module):
    def forward(self, x):
        return torch.relu(x) * random.random()
before = random.getstate()
assert why_zero.explain(Drawing(), torch.ones(40, 2)).training
assert random.getstate() == before
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False)
    assert done.returncode == 0


def test_a_forward_that_writes_to_its_input_does_not_change_the_samples() -> None:
    x = X.clone()
    explain(nn.Sequential(nn.ReLU(inplace=True), *tiny()), x)
    assert torch.equal(x, X)


def test_the_page_says_the_numbers_and_what_to_try() -> None:
    text = Reader(explain(tiny(), X).html()).text
    for words in (
        "50.0% by dropout alone, 50.0% by both.",
        "1 of 3 units with a ReLU never fired for the 40 samples.",
        "12 parameters instead of 17 (29.4% fewer)",
        "17 parameters in 2 modules.",
        "What to try",
    ):
        assert words in text, words
    assert "Nothing to mend" not in text


def test_layers_without_a_dead_unit_count_among_all_units() -> None:
    module = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 2))
    with torch.no_grad():
        module[0].bias[0] = -1000.0
        module[2].bias.fill_(10.0)
    samples = torch.rand(40, 4, generator=torch.Generator().manual_seed(0))
    found = explain(module, samples)
    assert [(owner.path, owner.units) for owner in found.owners] == [("0", 8), ("2", 6)]
    dead = sum(len(owner.dead) for owner in found.owners)
    assert f"{dead} of 14 units with a ReLU never fired" in found.html()


def test_where_nothing_is_wrong_the_page_says_so_and_gives_no_advice() -> None:
    module = tiny(0.1)
    with torch.no_grad():
        module[0].weight[2, 1] = 6.0  # -5 + 6 for every second sample
    found = explain(module, X)
    assert found.advice == ()
    assert "Nothing to mend was found." in Reader(found.html()).text
    few = Reader(explain(module, X[:8]).html()).text
    assert "Nothing to mend was found in what could be counted." in few
    assert "8 samples say little" in few


def test_every_name_is_escaped_and_the_page_loads_and_runs_nothing() -> None:
    found = explain(Hostile(), X)
    assert any(HOSTILE in name for name in found.training)
    page = found.html()
    read = Reader(page)
    assert HOSTILE in read.text
    assert "<script" not in page.lower()
    harmful = {"script", "link", "img", "iframe", "object", "embed", "base", "form", "a"}
    assert not read.tags & harmful
    assert not {name for name in read.attributes if name.startswith("on")}
    assert not read.attributes & {"src", "href", "srcset", "data", "action"}
    for loading in ("http:", "https:", "url(", "@import"):
        assert loading not in page


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1280])
def test_a_browser_shows_the_page_without_a_request_or_a_bar_to_scroll_it_sideways(
    browser: Any,  # noqa: ANN401
    width: int,
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 800})
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    module = type("Net" * 40, (Hostile,), {})()
    page.set_content(explain(module, X).html())
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert requests == []
    # The first such bar is that of evaluation mode: 60 of 120 values.
    page.set_content(explain(tiny(), X).html())
    share = page.evaluate(
        "(([i]) => i.offsetWidth / i.parentElement.clientWidth)"
        "(document.querySelectorAll('.bar .inactive'))"
    )
    assert share == pytest.approx(0.5, abs=0.02)
    page.close()


def test_what_the_census_cannot_count_is_noted_and_the_rest_explained() -> None:
    class Always(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = tiny()

        def forward(self, x: Tensor) -> Tensor:
            return F.dropout(self.parts(x), 0.5)

    found = explain(Always(), X)
    assert found.states == {}
    assert "nothing may be dropped in evaluation mode" in found.notes["the census"]
    assert found.advice[0].saw.startswith("In evaluation mode ")
    assert "Which units are dead is not known" in Reader(found.html()).text


def test_zeros_of_the_data_are_told_once_and_not_as_a_note() -> None:
    x = X.clone()
    x[:, 0] = 0
    found = explain(tiny(), x)
    assert found.unexplained[0].made_by == "the module's input"
    assert found.notes == {}
    assert "come in with the data" in Reader(found.html()).text


def test_a_batch_with_nan_is_told_and_not_counted() -> None:
    x = X.clone()
    x[0, 0] = torch.nan
    found = explain(tiny(), [x[:20], x[20:]], passes=2)
    # One of two batches, in two training passes and one evaluation pass.
    assert found.advice[0].saw == "3 of 6 passes held NaN or infinity, and were not counted."
    assert found.training["1"].passes == 2
    assert "must see finite values" in found.notes["the census"]


def test_batches_may_be_of_any_kind_with_a_way_to_call_the_module() -> None:
    batches = iter([{"x": X[:20]}, {"x": X[20:]}])
    found = explain(tiny(), batches, run=lambda module, batch: module(batch["x"]))
    assert found.samples == 40
    assert found.owners[0].dead == (2,)
    assert found.compacted is None


def test_a_network_without_an_activation_has_a_page_too() -> None:
    found = explain(nn.Linear(2, 2), X)
    assert (found.training, found.states) == ({}, {})
    text = Reader(found.html()).text
    assert "No activation function and no dropout was seen." in text
    assert "the network itself" in text


@pytest.mark.parametrize(
    ("batches", "passes", "message"),
    [
        ([], 1, "explain must see samples, got none"),
        (X[:0], 1, "explain must see samples, got none"),
        (X, 0, "passes must be a positive integer, got 0"),
        (
            torch.ones(5, 7),
            1,
            (
                r"^Sequential must take the batches, got RuntimeError: .* evaluation mode for "
                r"float32 of shape \(5, 7\): give what it takes$"
            ),
        ),
        (["x"], 1, "a batch must be a tensor"),
    ],
)
def test_wrong_arguments_are_one_line(
    batches: Tensor | list[str], passes: int, message: str
) -> None:
    with pytest.raises(WhyZeroError, match=message) as caught:
        explain(tiny(), batches, passes=passes)
    assert "\n" not in str(caught.value)


def test_a_module_that_cannot_be_copied_is_refused_in_a_line() -> None:
    module = tiny()
    module.stream = open("/dev/null", encoding="utf-8")  # noqa: SIM115, PTH123
    with pytest.raises(WhyZeroError, match=r"copy.deepcopy must copy a module, got Sequential"):
        explain(module, X)
    module.stream.close()


def test_lazy_parameters_are_refused_in_a_line() -> None:
    with pytest.raises(WhyZeroError, match=r"got Sequential with lazy ones: call it once"):
        explain(nn.Sequential(nn.LazyLinear(2), nn.ReLU()), X)


def test_an_explanation_is_frozen() -> None:
    found = explain(tiny(), X)
    assert isinstance(found, Explanation)
    with pytest.raises(AttributeError):
        found.samples = 3  # type: ignore[misc]
