"""Each gate lets a sound network pass, and refuses the one fault that it is there for."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from numpy.typing import NDArray

from pipeline.errors import PipelineError
from pipeline.records import Score
from pipeline.registry.gates import Candidate, GateError, isolation
from pipeline.registry.gates.agreement import answers_twice_alike, same_accuracy, same_logits
from pipeline.registry.gates.isolation import Answers, loads_alone
from pipeline.registry.gates.signature import signature_holds
from pipeline.training.stack import plain

pytestmark = pytest.mark.slow

Spoiled = Callable[[Callable[[Path], None]], Candidate]
Asked = Callable[[Candidate], Answers]
Gate = Callable[[Candidate, Answers], object]


def exported(network: torch.nn.Module, folder: Path, *, most: int = 1_000_000) -> None:
    """Put this network's graph in the place of the model's, for batches of up to so many."""
    [archive] = (folder / "data").glob("*.pt2")
    batch = torch.export.Dim("batch", min=1, max=most)
    images = torch.zeros(4, 1, 6, 5)
    torch.export.save(
        torch.export.export(network, (images,), dynamic_shapes=({0: batch},)), archive
    )


def edited(folder: Path, change: Callable[[dict[str, object]], None]) -> None:
    """Change the model's own description of itself."""
    path = folder / "MLmodel"
    content = yaml.safe_load(path.read_text())
    change(content)
    path.write_text(yaml.safe_dump(content))


def refusal(gate: Gate, one: Candidate, given: Answers) -> str:
    with pytest.raises(GateError) as caught:
        gate(one, given)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert message.startswith(f"gate {caught.value.gate!r}: ")
    return message


# Sound


def test_a_sound_network_passes_every_gate_that_asks_for_logits(
    good: Candidate, asked: Asked
) -> None:
    given = asked(good)
    assert not loads_alone(given, isolation="process").is_forced
    for gate in (answers_twice_alike, same_logits, same_accuracy, signature_holds):
        assert not gate(good, given).is_forced


def test_the_accuracy_is_counted_over_all_test_images(good: Candidate, asked: Asked) -> None:
    with torch.no_grad():
        answers = good.rebuilt(good.data.test_images[:, None] / 255).argmax(1)
    right = int((answers == good.data.test_labels).sum())
    assert same_accuracy(good, asked(good)).found.startswith(f"{right} of 60 test images correct")


def test_test_images_come_round_again_where_more_are_asked_for_than_there_are(
    good: Candidate,
) -> None:
    images = good.test_images(61)
    assert images.shape == (61, 1, 6, 5)
    assert torch.equal(images[60], images[0])
    assert float(images.max()) <= 1


# Dropout left in the graph


def test_dropout_that_was_exported_with_the_network_is_refused(
    spoiled: Spoiled, good: Candidate, asked: Asked
) -> None:
    network = plain(good.result.recipe, good.weights).train()
    one = spoiled(lambda folder: exported(network, folder))
    message = refusal(answers_twice_alike, one, asked(one))
    assert "two calls must give identical logits" in message
    assert "training mode" in message


# Graph and state dict


def with_bias(one: Candidate, bias: NDArray[np.float32]) -> Candidate:
    return replace(one, weights={**one.weights, "linear2.bias": bias})


def test_a_state_dict_of_other_weights_is_refused(good: Candidate, asked: Asked) -> None:
    other = with_bias(good, good.weights["linear2.bias"] + np.float32([0, 0.001, 0]))
    assert "a difference of 0.001 in a batch of 1:" in refusal(same_logits, other, asked(good))


def test_a_difference_below_the_tolerance_passes(good: Candidate, asked: Asked) -> None:
    other = with_bias(good, good.weights["linear2.bias"] + np.float32([0, 5e-6, 0]))
    same_logits(other, asked(good))


def test_a_state_dict_that_is_not_a_number_is_refused(good: Candidate, asked: Asked) -> None:
    refusal(
        same_logits,
        with_bias(good, good.weights["linear2.bias"] * np.float32("nan")),
        asked(good),
    )


def test_a_graph_that_does_not_take_10_000_images_at_once_is_refused(
    spoiled: Spoiled, good: Candidate, asked: Asked
) -> None:
    one = spoiled(lambda folder: exported(good.rebuilt, folder, most=9_999))
    given = asked(one)
    for gate in (answers_twice_alike, same_logits):
        message = refusal(gate, one, given)
        assert "'same logits': the graph must accept batches of any size" in message
        assert "<= 9999' for a batch of 10,000" in message  # the graph's own reason


@pytest.mark.parametrize("gate", [answers_twice_alike, same_logits, same_accuracy])
def test_answers_of_another_shape_are_refused(good: Candidate, asked: Asked, gate: Gate) -> None:
    given = {name: array[:, :2] for name, array in asked(good).items() if array.ndim == 2}
    assert "got an answer of shape (" in refusal(gate, good, given)


# Accuracy


@pytest.mark.parametrize("images", [-1, 1])
def test_a_test_accuracy_that_is_one_image_off_is_refused(
    good: Candidate, asked: Asked, images: int
) -> None:
    said = good.result.test.accuracy + images / 60
    other = replace(good, result=replace(good.result, test=Score(0.0, said)))
    message = refusal(same_accuracy, other, asked(good))
    assert f"the run says {said:.6g}" in message


# Signature and example


def shapes(model: dict[str, object], *, inputs: list[int], outputs: list[int]) -> None:
    for key, shape in (("inputs", inputs), ("outputs", outputs)):
        spec = {"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": shape}}
        model["signature"][key] = json.dumps([spec])  # type: ignore[index]


@pytest.mark.parametrize(
    ("inputs", "outputs", "words"),
    [
        ([-1, -1, -1, -1], [-1, 3], "a failure for a batch of shape 2 × 1 × 5 × 5"),
        ([-1, 1, 28, 28], [-1, 3], "the example must fit the signature n × 1 × 28 × 28"),
        ([-1, 1, 6, 5], [-1, 10], "must have the shape n × 10 of the signature, got 4 × 3"),
    ],
)
def test_a_signature_that_is_not_this_networks_is_refused(
    *, spoiled: Spoiled, asked: Asked, inputs: list[int], outputs: list[int], words: str
) -> None:
    one = spoiled(lambda f: edited(f, lambda m: shapes(m, inputs=inputs, outputs=outputs)))
    assert words in refusal(signature_holds, one, asked(one))


def test_a_model_without_an_example_is_refused(spoiled: Spoiled, asked: Asked) -> None:
    one = spoiled(lambda f: edited(f, lambda model: model.pop("saved_input_example_info")))
    message = refusal(signature_holds, one, asked(one))
    assert "an example must come with the model, got none" in message


def test_a_model_that_takes_images_of_another_shape_is_refused(
    good: Candidate, asked: Asked
) -> None:
    given = dict(asked(good))
    given["pyfunc channel"] = given["pyfunc 1"]
    message = refusal(signature_holds, good, given)
    assert "got an answer to images of shape 2 × 6 × 5" in message


@pytest.mark.parametrize("change", [lambda m: m.pop("signature"), lambda m: m.update(signature=7)])
def test_a_model_without_a_signature_is_refused(
    spoiled: Spoiled, change: Callable[[dict[str, object]], object]
) -> None:
    one = spoiled(lambda folder: edited(folder, change))
    with pytest.raises(PipelineError, match="must have a signature of numpy arrays") as caught:
        signature_holds(one, {})
    assert str(caught.value).count("\n") == 0


def test_an_example_that_the_graph_answers_otherwise_is_refused(
    spoiled: Spoiled, good: Candidate, asked: Asked
) -> None:
    other = with_bias(good, np.float32([1, 0, 0])).rebuilt
    one = spoiled(lambda folder: exported(other, folder))
    message = refusal(signature_holds, one, asked(one))
    assert "the example's answer must be the network's" in message


# Alone


@pytest.mark.slow
def test_a_model_that_needs_this_package_is_refused_though_it_loads_here(
    spoiled: Spoiled, good: Candidate
) -> None:
    def need_the_package(model: dict[str, object]) -> None:
        model["flavors"]["python_function"]["loader_module"] = "pipeline.tracking.models"  # type: ignore[index]

    one = spoiled(lambda folder: edited(folder, need_the_package))
    with pytest.raises(GateError, match="No module named 'pipeline") as caught:
        isolation.ask(one, isolation="process", uri="sqlite:///nowhere.db")
    assert caught.value.gate == "loads alone"
    assert good.address != one.address


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"pyfunc 7": np.array(["failed", "no such loader"])}, "got no such loader"),
        ({"pytorch 7": np.array([7])}, "got no logits"),
        ({"pyfunc 7": np.zeros((7, 3), np.float32)}, "two flavours must agree within 1e-05"),
    ],
)
def test_a_flavour_that_does_not_answer_as_the_other_is_refused(
    good: Candidate, asked: Asked, changed: Answers, words: str
) -> None:
    with pytest.raises(GateError, match="gate 'loads alone': ") as caught:
        loads_alone({**asked(good), **changed}, isolation="process")
    assert words in str(caught.value)


def test_a_process_that_leaves_no_answers_is_refused(tmp_path: Path) -> None:
    (tmp_path / "answers.npz").write_bytes(b"PK\3\4")
    for name in ("answers.npz", "nothing.npz"):
        with pytest.raises(GateError, match="got no answers"):
            isolation.read_answers(tmp_path / name)


def test_the_environment_is_made_by_venv_and_filled_by_its_own_pip(tmp_path: Path) -> None:
    make, install = isolation.install_commands(tmp_path, tmp_path / "requirements.txt")
    assert make == [sys.executable, "-m", "venv", str(tmp_path)]
    assert install[:4] == [str(isolation.python_of(tmp_path)), "-m", "pip", "install"]
    assert install[-2:] == ["--requirement", str(tmp_path / "requirements.txt")]


def test_requirements_that_cannot_be_installed_are_refused_with_the_installers_last_line(
    good: Candidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = "import sys; sys.exit('collecting\\nNo matching distribution found for torch==0.0')"
    commands = [[sys.executable, "-c", lines]]
    monkeypatch.setattr(isolation, "install_commands", lambda *_: commands)
    with pytest.raises(GateError, match="own requirements must install") as caught:
        isolation.ask(good, isolation="env", uri="sqlite:///nowhere.db")
    assert "got No matching distribution found for torch==0.0: " in str(caught.value)


def test_the_environment_holds_what_the_model_says_it_needs(
    good: Candidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def record(_folder: Path, requirements: Path) -> list[list[str]]:
        asked.extend(requirements.read_text().split())
        return [[sys.executable, "-c", "raise SystemExit(1)"]]

    monkeypatch.setattr(isolation, "install_commands", record)
    with pytest.raises(GateError, match="got exit code 1"):
        isolation.ask(good, isolation="env", uri="sqlite:///nowhere.db")
    assert {line.partition("==")[0] for line in asked} == {"torch", "mlflow", "numpy"}
