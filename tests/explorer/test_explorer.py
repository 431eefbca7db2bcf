"""The explorer as a text: complete, exact, self-contained, in two languages."""

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pipeline import page as shared
from pipeline.comparison.compare import compare
from pipeline.console import Console
from pipeline.data import ImageData, as_input, split
from pipeline.errors import PipelineError
from pipeline.explorer import explorer_of, page
from pipeline.explorer import publish as publishing
from pipeline.explorer.explored import Explored
from pipeline.explorer.page import render_page
from pipeline.records.result import Result
from pipeline.tracking import Tracker, connect
from pipeline.training.stack import plain

PARTS = [Path(room.__file__).parent for room in (shared, page)]
SCRIPTS = "\n".join(path.read_text("utf-8") for part in PARTS for path in part.glob("*.js"))


def run_of(text: str) -> dict[str, Any]:
    """What the page's own script reads."""
    found = re.search(r'<script type="application/json" id="run">(.*?)</script>', text, re.DOTALL)
    assert found
    return json.loads(found[1])


def array(text: str, kind: str) -> NDArray[Any]:
    return np.frombuffer(base64.b64decode(text), kind)


def test_every_weight_comes_back_from_the_page_to_the_last_bit(
    networks: list[Explored], digits: ImageData
) -> None:
    run = run_of(render_page(networks, digits))
    for network, shown in zip(networks, run["networks"], strict=True):
        assert len(shown["layers"]) == 5
        for number, layer in enumerate(shown["layers"], start=1):
            for kind in ("weight", "bias"):
                kept = network.weights[f"linear{number}.{kind}"]
                assert array(layer[kind], "<f4").tobytes() == kept.tobytes()


def test_a_unit_fires_for_as_many_images_of_a_class_as_one_by_one(
    networks: list[Explored], digits: ImageData
) -> None:
    network = networks[1]
    module = plain(network.result.recipe, network.weights).eval()
    kept, _ = split(3000, 500)
    with torch.no_grad():
        z = module[:4](as_input(digits.train_images[kept]))  # flatten, linear1, relu1, dropout1
        z = module[4](z)
    labels = digits.train_labels[kept]
    for label in range(10):
        expected = (z[labels == label] > 0).sum(0)
        np.testing.assert_array_equal(network.fired_by_class["h2"][:, label], expected)
        assert network.class_counts[label] == (labels == label).sum()


def test_the_history_ends_with_the_epoch_whose_weights_are_in_the_page(
    networks: list[Explored], digits: ImageData
) -> None:
    result = networks[0].result
    early = replace(networks[0], result=replace(result, chosen=result.history[1]))
    [shown] = run_of(render_page([early], digits))["networks"]
    assert shown["epochs"] == [0, 1]
    fired = array(shown["layers"][0]["fired"], "<u4").reshape(2, 256)
    for epoch in (0, 1):
        states = result.history[epoch].layers[0].states
        assert states is not None
        np.testing.assert_array_equal(fired[epoch], states.fired)


def test_test_images_of_every_class_are_in_it_with_mistakes_among_them(
    networks: list[Explored], digits: ImageData
) -> None:
    samples = run_of(render_page(networks, digits))["samples"]
    pixels = array(samples["pixels"], "u1").reshape(-1, 28, 28)
    labels = np.array(samples["labels"])
    assert len(labels) <= 60
    np.testing.assert_array_equal(labels, digits.test_labels[samples["places"]])
    np.testing.assert_array_equal(pixels, digits.test_images[samples["places"]])
    is_right = np.ones(len(labels), dtype=bool)
    for network in networks:
        module = plain(network.result.recipe, network.weights).eval()
        answers = module(as_input(torch.from_numpy(pixels.copy()))).argmax(-1).numpy()
        is_right &= answers == labels
    for label in range(10):
        kinds = is_right[labels == label].tolist()
        # What all networks tell comes first.
        assert kinds == sorted(kinds, reverse=True)
        assert kinds.count(True) <= 3
        assert kinds.count(False) == 3
    assert is_right.sum() >= 20


def test_the_page_is_one_file_that_can_fetch_nothing(
    networks: list[Explored], digits: ImageData
) -> None:
    text = render_page(networks, digits)
    assert "default-src 'none'" in text
    assert set(re.findall(r"https?://[^\"'\s<]+", text)) == {"http://www.w3.org/2000/svg"}
    assert re.findall(r'\s(?:src|href|srcset|action)="([^"]*)"', text) == ["data:,"]
    for storage in ("localStorage", "sessionStorage", "cookie", "indexedDB", "fetch(", "import "):
        assert storage not in SCRIPTS


def test_a_page_of_the_posts_network_takes_two_megabytes(
    networks: list[Explored], digits: ImageData
) -> None:
    # 317,450 weights of four bytes are 1.7 MB in base64.
    assert len(render_page(networks[:1], digits).encode()) < 2_000_000


def test_both_languages_say_the_same_things_with_the_same_values() -> None:
    words = json.loads((PARTS[1] / "words.json").read_text("utf-8"))
    english, korean = words["en"], words["ko"]
    assert english.keys() == korean.keys()
    for key in english:
        values = [set(re.findall(r"\{(\w+)", said[key])) for said in (english, korean)]
        assert values[0] == values[1], key


def test_every_word_of_the_page_is_said_somewhere() -> None:
    words = json.loads((PARTS[1] / "words.json").read_text("utf-8"))["en"]
    text = SCRIPTS + "".join(
        path.read_text("utf-8") for part in PARTS for path in part.glob("*.html")
    )
    built = r"cause_|state_|key_|label_|_means|mode_"
    unsaid = [key for key in words if not re.search(built, key) and f'"{key}"' not in text]
    assert unsaid == []


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tracker]:
    folder = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        patch.chdir(folder)
        yield connect()


def with_weights(network: Explored) -> Result:
    result = network.result
    return replace(result, chosen=replace(result.chosen, weights=network.weights))


def test_networks_too_large_for_a_page_are_refused_with_their_size(
    networks: list[Explored],
    digits: ImageData,
    tracker: Tracker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(publishing, "MOST_PARAMETERS", 400_000)
    results = [with_weights(network) for network in networks]
    with pytest.raises(PipelineError, match=r"at most 400,000 parameters .* got 634,900"):
        explorer_of(results, digits, tracker)


def test_of_two_networks_too_large_together_the_first_has_its_page(
    networks: list[Explored],
    digits: ImageData,
    tracker: Tracker,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(publishing, "MOST_PARAMETERS", 400_000)
    results = [with_weights(network) for network in networks]
    with tracker.start_step("sweep", "sweep", parameters={}) as step:
        publishing.log_explorer(step, results, digits, tracker=tracker, console=Console())
    assert "634,900" in " ".join(capsys.readouterr().out.split())
    text = tracker.artifact(step.id, "explorer.html").read_text("utf-8")
    assert [network["drop_rate"] for network in run_of(text)["networks"]] == [0.0]


def test_other_data_than_a_network_was_trained_on_are_refused(
    networks: list[Explored], digits: ImageData, tracker: Tracker
) -> None:
    other = replace(digits, digest="f" * 32)
    with pytest.raises(PipelineError, match="must be explored with the data they were trained on"):
        explorer_of([with_weights(networks[0])], other, tracker)


def result_of(template: Result, rate: float, seed: int, accuracy: float) -> Result:
    chosen = replace(
        template.chosen, validation=replace(template.chosen.train_eval, accuracy=accuracy)
    )
    recipe = replace(template.recipe, drop_rate=rate, seed=seed)
    return replace(template, recipe=recipe, chosen=chosen)


@pytest.mark.parametrize(
    ("best", "expected"),
    [(0.2, [0.2, 0.0]), (0.0, [0.0, 0.5])],
    ids=["the chosen one and no dropout", "no dropout is chosen, and the highest rate"],
)
def test_beside_the_chosen_network_stands_one_of_the_same_seed_at_another_rate(
    networks: list[Explored], best: float, expected: list[float]
) -> None:
    template = networks[0].result
    results = [
        result_of(template, rate, seed, 0.9 + 0.05 * (rate == best))
        for rate in (0.0, 0.2, 0.5)
        for seed in (1, 2)
    ]
    [comparison] = compare(results)
    found = publishing.pair(comparison)
    assert [result.recipe.drop_rate for result in found] == expected
    assert [result.recipe.seed for result in found] == [1, 1]


def test_a_network_alone_is_explored_alone(networks: list[Explored]) -> None:
    [comparison] = compare([networks[0].result])
    assert publishing.pair(comparison) == [networks[0].result]
