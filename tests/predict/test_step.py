"""The step `predict`, on real files, a real store and real models."""

import csv
import gzip
import io
import json
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import mlflow
import numpy as np
import pytest
import yaml
from mlflow import MlflowClient
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import load_file, save

from pipeline.data import ImageData
from pipeline.tracking import FoundRun, Tracker

pytestmark = pytest.mark.slow

Answers = Callable[..., list[dict[str, Any]]]
Predict = Callable[..., int]
MODEL, UNMASKED = "models:/digits@champion", "models:/digits@unmasked"


def png(image: NDArray[np.uint8], name: str) -> str:
    Image.fromarray(image).save(name)
    return name


def idx(images: NDArray[np.uint8], name: str) -> str:
    Path(name).write_bytes(struct.pack(">IIII", 0x0803, *images.shape) + images.tobytes())
    return name


def numbers(by_class: dict[str, float]) -> list[float]:
    return list(by_class.values())


def logits_of(tracker: Tracker, run: FoundRun, images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The logits by plain numpy, from the state dict alone."""
    weights = load_file(tracker.artifact(run.id, "state_dict.safetensors"))
    y = images.reshape(len(images), -1) / 255
    for number in range(1, 5):
        y = y @ weights[f"linear{number}.weight"].T + weights[f"linear{number}.bias"]
        y = np.maximum(y, 0) if number < 4 else y
    return np.asarray(y)


def stored(run: FoundRun) -> Path:
    """The folder of the model that the run has logged, in the store itself."""
    assert run.model is not None
    model = MlflowClient().get_logged_model(run.model.removeprefix("models:/"))
    return Path(url2pathname(urlsplit(model.artifact_location).path))


# The same image, however it comes


def test_mnist_images_get_the_same_numbers_from_png_idx_colour_and_the_other_way_round(
    answers: Answers, mnist: ImageData, tracker: Tracker, run: FoundRun
) -> None:
    images = mnist.test_images[:3].numpy()
    expected = logits_of(tracker, run, images)
    grey = [png(image, f"{place}.png") for place, image in enumerate(images)]
    colour = [
        png(np.stack([image] * 3, -1), f"{place}-rgb.png") for place, image in enumerate(images)
    ]
    dark = [png(255 - image, f"{place}-dark.png") for place, image in enumerate(images)]
    found = answers(*grey, *colour, *dark, idx(images, "three"))
    assert [one["image"] for one in found] == [
        *grey,
        *colour,
        *dark,
        *(f"three[{i}]" for i in range(3)),
    ]
    for place, one in enumerate(found):
        np.testing.assert_allclose(numbers(one["logits"]), expected[place % 3], atol=1e-5)
        assert one["logits"] == found[place % 3]["logits"]


def test_an_mnist_image_gets_bit_for_bit_what_the_model_gives_its_tensor(
    answers: Answers, mnist: ImageData, run: FoundRun
) -> None:
    image = mnist.test_images[7:8]
    assert run.model is not None
    with_tensor = mlflow.pytorch.load_model(run.model)(image[:, None] / 255)[0].tolist()
    [one] = answers(png(image[0].numpy(), "x.png"))
    assert numbers(one["logits"]) == with_tensor


def test_a_large_scan_is_laid_out_and_recognised_like_the_original(
    answers: Answers, mnist: ImageData
) -> None:
    images, labels = mnist.test_images[:40].numpy(), mnist.test_labels[:40].tolist()
    files = []
    for place, image in enumerate(images):
        large = Image.fromarray(255 - image).resize((200, 200), Image.Resampling.BICUBIC)
        page = Image.new("L", (400, 300), 255)
        page.paste(large, (150, 40))
        page.save(f"{place}.jpg")
        files.append(f"{place}.jpg")
    right = [one["class"] == label for one, label in zip(answers(*files), labels, strict=True)]
    before = [
        one["class"] == label for one, label in zip(answers(idx(images, "i")), labels, strict=True)
    ]
    assert sum(right) >= sum(before) - 2
    assert sum(before) >= 32


def test_a_stream_on_the_standard_input_is_one_file(
    answers: Answers, mnist: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = mnist.test_images[:2].numpy()
    content = gzip.compress(struct.pack(">IIII", 0x0803, *images.shape) + images.tobytes())
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    png(images[1], "x.png")
    found = answers("x.png", "-")
    assert [one["image"] for one in found] == ["x.png", "standard input[0]", "standard input[1]"]
    assert found[0]["logits"] == found[2]["logits"] != found[1]["logits"]


def test_an_answer_depends_on_no_other_image(answers: Answers, mnist: ImageData) -> None:
    images = mnist.test_images[:5].numpy()
    query = ("--why", "true", "--passes", 8)
    [alone] = answers(*query, png(images[3], "x.png"))
    among = answers(*query, idx(images, "five"))[3]
    assert among["units"] == alone["units"]
    assert among["masks"]["units"] == alone["masks"]["units"]
    for key in ("logits", "mean", "low", "high"):
        first, second = ({**one, **one["masks"]}[key] for one in (among, alone))
        assert first == pytest.approx(second, rel=1e-6, abs=1e-6)  # rounding of float32


def test_layout_and_ink_can_be_said(answers: Answers, mnist: ImageData) -> None:
    image = mnist.test_images[0].numpy()
    moved = np.roll(image, 3, axis=1)
    kept, centred = answers(png(moved, "x.png")), answers("--layout", "mnist", "x.png")
    original = answers(png(image, "y.png"))
    assert kept[0]["logits"] != original[0]["logits"]
    assert centred[0]["probability"] > 0.5
    assert centred[0]["label"] == "7"
    [light] = answers("--ink", "light", png(255 - image, "z.png"))
    [dark] = answers("--ink", "dark", "z.png")
    assert dark["logits"] == original[0]["logits"] != light["logits"]


@pytest.mark.parametrize("side", [28, 200], ids=["same size", "scan"])
def test_a_model_of_ones_own_data_sees_images_with_the_ink_that_it_learned(
    answers: Answers, mnist: ImageData, side: int
) -> None:
    """Two models with the same weights; one was made for dark ink on light paper."""
    seven = Image.fromarray(mnist.test_images[0].numpy()).resize((side, side))
    images = [np.asarray(seven), 255 - np.asarray(seven)]
    files = [png(image, f"{place}.png") for place, image in enumerate(images)]
    light, light_again = answers(*files, model="models:/digits@light")
    dark, dark_again = answers(*files, model="models:/digits@dark")
    assert light["logits"] == light_again["logits"] != dark["logits"] == dark_again["logits"]
    if side == 28:
        as_data = answers(idx(np.stack(images), "both"), model="models:/digits@light")
        assert [light["logits"], dark["logits"]] == [
            pytest.approx(one["logits"], abs=1e-6) for one in as_data
        ]


# Why


def test_units_are_counted_as_the_weights_and_the_history_say(
    answers: Answers, mnist: ImageData, tracker: Tracker, run: FoundRun
) -> None:
    image = mnist.test_images[4].numpy()
    [one] = answers("--why", "true", png(image, "x.png"))
    weights = load_file(tracker.artifact(run.id, "state_dict.safetensors"))
    history = load_file(tracker.artifact(run.id, "history.safetensors"))
    y, dead_in_all = image.reshape(-1) / 255, 0
    for number, units in enumerate((48, 24, 12), start=1):
        z = weights[f"linear{number}.weight"] @ y + weights[f"linear{number}.bias"]
        dead = history[f"h{number}/fired"][-1] == 0
        dead_in_all += int(dead.sum())
        assert one["units"][f"h{number}"] == {
            "units": units,
            "active": int((z > 0).sum()),
            "inactive": int(((z <= 0) & ~dead).sum()),
            "dead": int(((z <= 0) & dead).sum()),
            "woken": int(((z > 0) & dead).sum()),
        }
        y = np.maximum(z, 0)
    assert dead_in_all > 0, "the test must see a dead unit"


def test_without_its_history_dead_is_unknown_and_the_reason_is_shown(
    predict: Predict,
    mnist: ImageData,
    tracker: Tracker,
    run: FoundRun,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = png(mnist.test_images[0].numpy(), "x.png")
    history = tracker.artifact(run.id, "history.safetensors")
    away = history.rename(history.with_suffix(".away"))
    try:
        assert predict("--why", "true", "--format", "json", file) == 0
        units = json.loads(capsys.readouterr().out)["units"]["h1"]
        assert predict("--why", "true", file) == 0
    finally:
        away.rename(history)
    assert (units["dead"], units["active"] + units["inactive"]) == (None, 48)
    assert "dead is unknown: an artifact must exist" in capsys.readouterr().out


def test_weights_that_are_not_of_the_runs_network_are_refused(
    predict: Predict,
    mnist: ImageData,
    tracker: Tracker,
    run: FoundRun,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = png(mnist.test_images[0].numpy(), "x.png")
    weights = tracker.artifact(run.id, "state_dict.safetensors")
    kept = weights.read_bytes()
    arrays = load_file(weights)
    wrong = [
        {name: array for name, array in arrays.items() if name != "linear3.bias"},
        {**arrays, "extra": np.zeros(3, np.float32)},
        {**arrays, "linear2.bias": np.zeros(25, np.float32)},
        {**arrays, "linear2.bias": np.zeros(24, np.float64)},
    ]
    try:
        for content in [kept[:100], *map(save, wrong)]:
            weights.write_bytes(content)
            assert predict(file) == 1
    finally:
        weights.write_bytes(kept)
    lines = capsys.readouterr().err.splitlines()
    found = ("no whole safetensors", "'linear3.bias' is None", "'extra' is", "25", "float64")
    for line, word in zip(lines, found, strict=True):
        assert "a run must hold the weights of the network it describes" in line
        assert word in line


# How sure


def test_passes_say_what_the_masks_change(answers: Answers, mnist: ImageData) -> None:
    [one] = answers("--why", "true", "--passes", 30, png(mnist.test_images[8].numpy(), "x.png"))
    masks = one["masks"]
    assert masks["passes"] == sum(masks["votes"].values()) == 30
    assert masks["changed"] == 30 - masks["votes"][one["label"]]
    assert sum(masks["mean"].values()) == pytest.approx(1)
    assert all(masks["low"][name] <= masks["high"][name] for name in masks["mean"])
    assert masks["high"][one["label"]] > masks["low"][one["label"]]
    assert 0 < masks["mutual_information"] < masks["entropy"]
    causes = masks["units"]["h1"]
    assert sum(causes.values()) == pytest.approx(48)
    # p = 0.2 of 48 units, 30 passes: a standard deviation of 0.5.
    assert causes["dropped"] + causes["both"] == pytest.approx(9.6, abs=2.5)


def test_the_seed_makes_the_masks(answers: Answers, mnist: ImageData) -> None:
    file = png(mnist.test_images[8].numpy(), "x.png")
    first, again = (answers("--passes", 9, file) for _ in range(2))
    assert first == again
    assert answers("--passes", 9, "--seed", 1, file) != first


def test_a_network_without_dropout_has_no_passes(
    predict: Predict, mnist: ImageData, capsys: pytest.CaptureFixture[str]
) -> None:
    file = png(mnist.test_images[0].numpy(), "x.png")
    assert predict("--passes", 9, file, model=UNMASKED) == 1
    assert "passes must be 0 for a network without dropout" in capsys.readouterr().err


# What is shown


def test_tables_show_every_file_by_its_name_brackets_too(
    predict: Predict, mnist: ImageData, capsys: pytest.CaptureFixture[str]
) -> None:
    file = png(mnist.test_images[0].numpy(), "a [red] 7.png")
    assert predict("--why", "true", "--passes", 5, file) == 0
    shown = capsys.readouterr().out
    assert shown.count(file) == 4
    for word in ("probability", "95 % of masks", "woken", "dropped", "mutual information"):
        assert word in shown


def test_csv_has_the_numbers_of_json(
    predict: Predict, answers: Answers, mnist: ImageData, capsys: pytest.CaptureFixture[str]
) -> None:
    file = png(mnist.test_images[0].numpy(), "x.png")
    assert predict("--format", "csv", file) == 0
    [row] = csv.DictReader(io.StringIO(capsys.readouterr().out))
    [one] = answers(file)
    assert float(row["logits.3"]) == one["logits"]["3"]
    assert float(row["probability"]) == one["probability"]


# What goes wrong


def test_files_that_cannot_be_read_are_told_and_the_others_answered(
    predict: Predict, mnist: ImageData, capsys: pytest.CaptureFixture[str]
) -> None:
    images = mnist.test_images[:3].numpy().copy()
    images[1] = 0
    good, partly = png(images[0], "good.png"), idx(images, "partly")
    blank = png(np.full((60, 60), 255, np.uint8), "blank.png")
    Path("text.png").write_text("hello")
    assert predict("--format", "json", good, blank, "text.png", "nobody.png", partly) == 1
    shown = capsys.readouterr()
    names = [json.loads(line)["image"] for line in shown.out.splitlines()]
    assert names == [good, "partly[0]", "partly[2]"]
    lines = shown.err.splitlines()
    assert len(lines) == 4
    for line, name in zip(lines, (blank, "text.png", "nobody.png", "partly[1]"), strict=True):
        assert line.startswith("error: an image must ")
        assert name in line


def test_where_no_file_can_be_read_there_is_no_empty_table(
    predict: Predict, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict("nobody.png") == 1
    shown = capsys.readouterr()
    assert (shown.out, shown.err.count("\n")) == ("", 1)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("models:/nobody@champion", "a registered model must exist, got models:/nobody@champion"),
        ("models:/digits@second", "digits has"),
        ("digits", "must be models:/NAME@ALIAS or models:/NAME/VERSION, got 'digits'"),
    ],
)
def test_a_model_that_is_not_there_is_named(
    model: str, message: str, predict: Predict, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict("x.png", model=model) in {1, 2}
    assert message in capsys.readouterr().err


def test_no_file_is_a_usage_error(predict: Predict, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict() == 2
    assert "Missing argument 'FILE...'" in capsys.readouterr().err


def test_a_model_whose_run_is_gone_is_refused_with_what_to_do(
    predict: Predict,
    mnist: ImageData,
    tracker: Tracker,
    run: FoundRun,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = png(mnist.test_images[0].numpy(), "x.png")
    client = MlflowClient(tracker.uri)
    client.delete_run(run.id)
    try:
        assert predict("--layout", "mnist", file) == 1
    finally:
        client.restore_run(run.id)
    shown = capsys.readouterr().err
    assert "a model needs the run that trained it" in shown
    assert f"got run {run.id}" in shown
    assert "import the model's bundle here" in shown


SHAPES = '[{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, %s]}}]'


@pytest.mark.parametrize(
    ("signature", "said"),
    [
        (None, "a model must have a signature"),
        (
            {"inputs": "[", "outputs": SHAPES % "10", "params": None},
            "a model must have a signature",
        ),
        (
            {"inputs": SHAPES % '1, "a", 28', "outputs": SHAPES % "10", "params": None},
            "a model must have a signature",
        ),
        (
            {"inputs": SHAPES % "1, 28, 29", "outputs": SHAPES % "10", "params": None},
            "of the 784 pixels that its network takes, got (-1, 1, 28, 29)",
        ),
        (
            {"inputs": SHAPES % "784", "outputs": SHAPES % "10", "params": None},
            "a model must take grey images",
        ),
    ],
)
def test_a_signature_that_gives_no_size_is_refused(
    *,
    signature: object,
    said: str,
    predict: Predict,
    mnist: ImageData,
    run: FoundRun,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = png(mnist.test_images[0].numpy(), "x.png")
    path = stored(run) / "MLmodel"
    kept = path.read_text()
    try:
        path.write_text(yaml.safe_dump({**yaml.safe_load(kept), "signature": signature}))
        assert predict(file) == 1
    finally:
        path.write_text(kept)
    shown = capsys.readouterr().err
    assert said in shown
    assert shown.count("\n") == 1


def test_asking_changes_no_run(
    predict: Predict, mnist: ImageData, tracker: Tracker, run: FoundRun
) -> None:
    client = MlflowClient(tracker.uri)

    def state() -> list[object]:
        runs = client.search_runs([tracker.experiment_id])
        return [(one.info.run_id, one.info.end_time, one.data.tags) for one in runs]

    before = state()
    assert predict("--why", "true", png(mnist.test_images[0].numpy(), "x.png")) == 0
    assert state() == before
    assert tracker.run(run.id) == run
