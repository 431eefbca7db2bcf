"""What trains on another machine, without the machine: files there and back, and what is said."""

import importlib.util
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pipeline.config.options import SweepSettings
from pipeline.config.recipe import Recipe
from pipeline.config.settings import parsed
from pipeline.data import ImageData
from pipeline.data.images import Part, assemble
from pipeline.errors import OutOfMemoryError, UsageError
from pipeline.records import EpochRecord
from pipeline.training import checkpoint as checkpoints
from pipeline.training.checkpoint import Planned
from pipeline.workers import Begun, Epoch, Job, Slots, Trained, engine, trained
from pipeline.workers.away import Trainer, files_in, place
from pipeline.workers.cluster import Cluster, Node

CPU = torch.device("cpu")
RECIPE = Recipe(widths=(6, 5), epochs=3, batch_size=20, holdout=10, mask_passes=0)


@pytest.fixture(scope="module")
def data() -> ImageData:
    source = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (80, 4, 4), dtype=torch.uint8, generator=source)
    labels = torch.arange(80) % 3
    return assemble(
        "noise",
        Part(images[:60], labels[:60]),
        test=Part(images[60:], labels[60:]),
        classes=("a", "b", "c"),
        source="nowhere",
        licence="none",
    )


@pytest.fixture
def begin(tmp_path: Path) -> Callable[..., Job]:
    """A job of one network, with a checkpoint of its own."""

    def make(recipe: Recipe = RECIPE) -> Job:
        members = [Planned(fingerprint="0", parameters=recipe.parameters)]
        checkpoint = checkpoints.begin(tmp_path / "checkpoints", store="s", members=members)
        return Job(recipes=[recipe], device=CPU, threads=1, checkpoint=checkpoint)

    return make


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The temporary folder of the other machine."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


@pytest.fixture
def trainer() -> Iterator[Trainer]:
    logger = logging.getLogger("pipeline")
    before = list(logger.handlers)
    made = Trainer()
    yield made
    finish(made)
    logger.handlers[:] = before


def finish(trainer: Trainer) -> None:
    """Let it write what it still has to: Python waits for the thread that does."""
    while any(thread.name.startswith("checkpoint") for thread in threading.enumerate()):
        trainer.told()
    while trainer.told():
        pass


def told(trainer: Trainer, job: Job, data: ImageData, *, until: int = 10_000) -> list[object]:
    """What it tells of a job, with its files put in their place, up to an epoch or its end."""
    assert job.checkpoint is not None
    folder = job.checkpoint.folder
    trainer.start(job, data, files_in(folder))
    heard: list[object] = []
    while True:
        for kind, content in trainer.told():
            if kind == "files":
                place(content, folder)
            elif kind in {"event", "error"}:
                heard.append(content)
                is_far = isinstance(content, Epoch) and content.records[0].epoch >= until
                if is_far or kind == "error" or isinstance(content, Trained):
                    return heard


def bare(record: EpochRecord | None) -> object:
    """What two machines agree on."""
    assert record is not None
    return record.epoch, record.train, record.train_eval, record.validation


def test_its_checkpoint_arrives_as_one_written_here(
    trainer: Trainer, begin: Callable[..., Job], data: ImageData
) -> None:
    there, here = begin(), begin()
    events = told(trainer, there, data)
    expected = list(trained(here, data, lambda: None))
    assert [type(event) for event in events] == [type(event) for event in expected]
    assert there.checkpoint is not None
    assert here.checkpoint is not None
    assert list(files_in(there.checkpoint.folder)) == list(files_in(here.checkpoint.folder))
    [begun, *_] = trained(there, data, lambda: None)  # restored: every digest is right
    assert isinstance(begun, Begun)
    epochs = [event.records[0] for event in expected if isinstance(event, Epoch)]
    assert [bare(record) for record in begun.histories[0]] == [bare(each) for each in epochs]


def test_another_machine_goes_on_from_the_files_of_one_that_was_lost(
    trainer: Trainer, begin: Callable[..., Job], data: ImageData
) -> None:
    job = begin(replace(RECIPE, epochs=10))
    told(trainer, job, data, until=1)
    finish(trainer)  # into nowhere
    [begun, *_] = told(trainer, job, data)
    assert isinstance(begun, Begun)
    assert 1 <= len(begun.histories[0]) <= 3


def test_nothing_more_is_written_until_files_have_arrived(
    trainer: Trainer, begin: Callable[..., Job], data: ImageData
) -> None:
    """Otherwise a slow network would have as many states on their way as epochs end meanwhile."""
    trainer.start(begin(replace(RECIPE, epochs=30)), data, {})
    kinds: list[str] = []
    while "files" not in kinds:
        kinds += [kind for kind, _ in trainer.told()]
    time.sleep(0.5)
    while not trainer._messages.empty():
        kinds.append(trainer._messages.get()[0])
    assert kinds.count("files") == 1


def test_nothing_is_left_on_the_other_machine(
    trainer: Trainer, begin: Callable[..., Job], data: ImageData, temporary: Path
) -> None:
    told(trainer, begin(), data)
    for _ in range(100):
        if not list(temporary.iterdir()):
            return
        trainer.told()
    pytest.fail(f"{list(temporary.iterdir())}")


def test_what_training_raises_there_is_told(
    trainer: Trainer, begin: Callable[..., Job], data: ImageData
) -> None:
    [error] = told(trainer, begin(replace(RECIPE, widths=(4_000_000, 4_000_000))), data)
    assert isinstance(error, OutOfMemoryError)


def test_a_node_has_a_slot_for_each_cpu_with_memory_and_each_gpu_with_a_cpu() -> None:
    assert Node(cpus=8.0, gpus=0.0, memory=64e9).slots("cpu") == 8
    assert Node(cpus=8.0, gpus=0.0, memory=2e9).slots("cpu") == 3  # 0.6 GB each
    assert Node(cpus=8.0, gpus=4.0, memory=64e9).slots("cuda") == 4
    assert Node(cpus=2.0, gpus=4.0, memory=64e9).slots("cuda") == 2
    assert Node(cpus=0.5, gpus=1.0, memory=64e9).slots("cuda") == 0


@pytest.mark.parametrize(
    ("device", "networks", "expected"),
    [
        ("cpu", 100, Slots(12, beside=8)),
        ("cpu", 3, Slots(3, beside=8)),
        ("cuda", 100, Slots(2, beside=1)),
    ],
)
def test_a_cluster_has_the_slots_of_its_nodes_whose_memory_each_shares(
    monkeypatch: pytest.MonkeyPatch, device: str, networks: int, expected: Slots
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())
    cluster = Cluster("auto")
    cluster._nodes = [Node(cpus=8.0, gpus=0.0, memory=64e9), Node(cpus=4.0, gpus=2.0, memory=64e9)]
    assert cluster.slots(torch.device(device), networks) == expected


def test_ray_that_is_missing_is_told_with_what_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r'pip install "why-zero\[ray\]"'), engine("ray", "auto"):
        pass


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ({"ray_address": "auto"}, "give engine=ray as well"),
        ({"engine": "ray", "devices": "cuda:1"}, "devices must be auto, cpu or cuda"),
        ({"engine": "ray", "devices": "cpu,mps"}, "got mps"),
        ({"engine": "ray", "ray_address": "head"}, "local, auto or HOST:PORT, got 'head'"),
        ({"engine": "ray", "ray_address": "head:99999"}, "HOST:PORT"),
        ({"engine": "ray", "ray_address": "ray://head:10001"}, "HOST:PORT"),
        ({"engine": "slurm"}, "one of local, ray"),
    ],
)
def test_settings_that_no_engine_can_serve_are_refused(texts: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parsed(SweepSettings, texts)
    assert said in str(caught.value)


def test_an_address_is_a_word_or_a_head() -> None:
    for text in ("local", "auto", "10.0.0.1:6379", "head.example.org:6379", "[fd00::1]:6379"):
        assert parsed(SweepSettings, {"engine": "ray", "ray_address": text}).ray_address == text
