"""Processes that train: what they tell, and what happens when they end too soon."""

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from safetensors import safe_open

from pipeline import spare
from pipeline.config.options import MnistSettings
from pipeline.config.recipe import Recipe
from pipeline.config.settings import parsed
from pipeline.data import ImageData, write_prepared
from pipeline.data.images import Part, assemble
from pipeline.errors import OutOfMemoryError, PipelineError, UsageError
from pipeline.records import EpochRecord
from pipeline.training import checkpoint as checkpoints
from pipeline.training import device as devices
from pipeline.training.checkpoint import Checkpoint, Planned
from pipeline.workers import (
    Begun,
    Epoch,
    Event,
    Here,
    Job,
    Local,
    Trained,
    Worker,
    how_many,
    trained,
)
from pipeline.workers.ahead import Ahead

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
RECIPE = Recipe(widths=(6, 5), epochs=3, batch_size=20, holdout=10, mask_passes=1)


@pytest.fixture(scope="module")
def data() -> ImageData:
    source = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (400, 4, 4), dtype=torch.uint8, generator=source)
    labels = torch.arange(400) % 3
    return assemble(
        "noise",
        Part(images[:300], labels[:300]),
        test=Part(images[300:], labels[300:]),
        classes=("a", "b", "c"),
        source="nowhere",
        licence="none",
    )


@pytest.fixture
def begin(tmp_path: Path) -> Callable[..., Job]:
    """A job of two networks, or of one with this recipe."""

    def make(*recipes: Recipe) -> Job:
        chosen = recipes or (RECIPE, replace(RECIPE, drop_rate=0.2, seed=3))
        members = [
            Planned(fingerprint=f"{i}", parameters=recipe.parameters)
            for i, recipe in enumerate(chosen)
        ]
        checkpoint = checkpoints.begin(tmp_path / "checkpoints", store="s", members=members)
        return Job(recipes=chosen, device=CPU, threads=1, checkpoint=checkpoint)

    return make


@pytest.fixture
def worker() -> Iterator[Worker]:
    made = Worker(CPU, Local())
    yield made
    made.close()


def events_of(worker: Worker) -> Iterator[Event]:
    """What it tells about its job, up to the end."""
    event: Event | None = None
    while not isinstance(event, Trained):
        event = worker.next()
        if event is not None:
            yield event


def the_same(one: EpochRecord | None, other: EpochRecord | None) -> bool:
    """Whether two records hold the same numbers to the last bit, but for times and memory."""
    if one is None or other is None:
        return one is other
    assert one.weights is None or other.weights is not None
    for name, values in (one.weights or {}).items():
        assert other.weights is not None
        np.testing.assert_array_equal(values, other.weights[name])
    for layer, same in zip(one.layers, other.layers, strict=True):
        np.testing.assert_array_equal(layer.causes.active, same.causes.active)
        assert layer.update_ratio == same.update_ratio
    scores = [(r.epoch, r.ending, r.train, r.train_eval, r.validation) for r in (one, other)]
    return scores[0] == scores[1]


def test_a_process_tells_what_training_here_tells_to_the_last_bit(
    worker: Worker, begin: Callable[..., Job], data: ImageData
) -> None:
    beats = list[int]()
    worker.start(begin(), data, beats.append)
    first, *told, end = events_of(worker)
    begun, *expected, last = trained(begin(), data, lambda: None)
    assert first == begun == Begun([(), ()])
    assert len(told) == len(expected) == RECIPE.epochs + 1
    for epoch, other in zip(told, expected, strict=True):
        assert isinstance(epoch, Epoch)
        assert isinstance(other, Epoch)
        assert all(map(the_same, epoch.records, other.records))
    assert isinstance(end, Trained)
    assert isinstance(last, Trained)
    assert all(record and record.weights for record in end.kept)
    assert all(map(the_same, end.kept, last.kept))


def test_a_second_job_needs_no_second_process(
    worker: Worker, begin: Callable[..., Job], data: ImageData
) -> None:
    for _ in range(2):
        worker.start(begin(), data, lambda _: None)
        assert len(list(events_of(worker))) == RECIPE.epochs + 3
    worker.start(begin(), replace(data, digest="1" * 32), lambda _: None)  # other images
    assert len(list(events_of(worker))) == RECIPE.epochs + 3


def test_another_process_goes_on_where_one_died(
    worker: Worker, begin: Callable[..., Job], data: ImageData, caplog: pytest.LogCaptureFixture
) -> None:
    job = begin()
    worker.start(job, data, lambda _: None)
    histories: list[list[EpochRecord]] = []
    deaths = 0
    for event in events_of(worker):
        if isinstance(event, Begun):
            histories = [list(history) for history in event.histories]
        elif isinstance(event, Epoch):
            for record in event.records:
                histories[record.member].append(record)
            if event.records[0].epoch == 1 and not deaths:
                deaths = 1
                kill(worker)
        else:
            kept = event.kept
    assert [len(record.message.splitlines()) for record in caplog.records] == [1]
    assert "another one goes on" in caplog.text
    *expected, end = trained(begin(), data, lambda: None)
    assert isinstance(end, Trained)
    assert all(map(the_same, kept, end.kept))
    for member, history in enumerate(histories):
        epochs = [event.records[member] for event in expected if isinstance(event, Epoch)]
        assert all(map(the_same, history, epochs))


def kill(worker: Worker) -> None:
    process: BaseProcess = worker._serving._process  # type: ignore[union-attr]
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()


def test_a_job_whose_processes_die_in_the_same_epoch_has_failed(
    worker: Worker, begin: Callable[..., Job], data: ImageData, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    endless = replace(RECIPE, epochs=100_000, mask_passes=0)
    worker.start(begin(endless), data, lambda _: None)
    kill(worker)
    assert worker.next() is None
    kill(worker)
    with pytest.raises(PipelineError, match=r"must live, got 2 that ended \(code -9\)"):
        worker.next()


def test_what_training_raises_in_a_process_is_raised_where_the_job_was_given(
    worker: Worker, begin: Callable[..., Job], data: ImageData
) -> None:
    worker.start(begin(replace(RECIPE, widths=(4_000_000, 4_000_000))), data, lambda _: None)
    with pytest.raises(OutOfMemoryError, match="must fit into the memory of cpu") as caught:
        list(events_of(worker))
    assert "Traceback" in "".join(caught.value.__notes__)
    worker.start(begin(), data, lambda _: None)  # it lives
    assert len(list(events_of(worker))) == RECIPE.epochs + 3


def test_what_a_process_warns_of_is_heard_where_the_job_was_given(
    worker: Worker, begin: Callable[..., Job], data: ImageData, caplog: pytest.LogCaptureFixture
) -> None:
    job = begin()
    assert job.checkpoint is not None
    (job.checkpoint.folder / "state.safetensors").write_bytes(b"no state")
    worker.start(job, data, lambda _: None)
    list(events_of(worker))
    [record] = caplog.records
    assert "trained from scratch, in the same runs" in record.message


@pytest.mark.parametrize(
    ("variable", "networks", "expected"), [(None, 5, 4), (None, 3, 3), ("2", 5, 2), ("0", 5, 0)]
)
def test_a_cpu_has_a_process_for_each_core_that_has_a_network(
    monkeypatch: pytest.MonkeyPatch, variable: str | None, networks: int, expected: int
) -> None:
    monkeypatch.setattr(devices, "cores", lambda: 4)
    monkeypatch.setattr(devices, "memory_to_use", lambda _: 64e9)
    monkeypatch.delenv(spare.WORKERS)
    if variable is not None:
        monkeypatch.setenv(spare.WORKERS, variable)
    assert how_many(CPU, networks) == expected
    assert how_many(torch.device("cuda", 0), networks) == min(1, expected)


def test_little_memory_has_fewer_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "cores", lambda: 16)
    monkeypatch.delenv(spare.WORKERS)
    monkeypatch.setattr(devices, "memory_to_use", lambda _: 2e9)
    assert how_many(CPU, 40) == 3
    monkeypatch.setattr(devices, "memory_to_use", lambda _: 1e6)
    assert how_many(CPU, 40) == 1


def test_a_number_of_processes_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(spare.WORKERS, "many")
    with pytest.raises(UsageError, match=r"WHY_ZERO_WORKERS must be a whole number, got 'many'"):
        how_many(CPU, 1)


@pytest.mark.parametrize("here", [True, False])
def test_numbers_too_small_to_be_computed_fast_are_0(
    worker: Worker, begin: Callable[..., Job], data: ImageData, here: bool
) -> None:
    """Units that die at once leave weights without gradients: 0.9**900 of these is 1e-41."""
    job = begin(replace(RECIPE, epochs=60, learning_rate=1.0, mask_passes=0, drop_rate=0.0))
    crew = Here(CPU) if here else worker
    crew.start(job, data, lambda _: None)
    while not isinstance(crew.next(), Trained):
        pass
    assert job.checkpoint is not None
    with safe_open(job.checkpoint.folder / "state.safetensors", framework="pt") as file:
        names = [name for name in file.keys() if name.endswith(("exp_avg", "exp_avg_sq"))]  # noqa: SIM118
        for name in names:
            value = file.get_tensor(name).double().abs()
            assert ((value == 0) | (value >= torch.finfo(torch.float32).tiny)).all()
    assert float(torch.tensor(1e-30) * 1e-10) > 0  # elsewhere they are what they are


def test_a_process_that_was_begun_before_is_taken_first_and_the_others_are_dismissed() -> None:
    spare.begin(2)
    (first, pipe), (left, _) = (begun.result() for begun in spare._waiting)
    assert spare.take() == (first, pipe)
    spare.dismiss()
    assert not left.is_alive()
    assert first.is_alive()
    assert not spare._waiting
    first.kill()
    first.join()


@pytest.mark.skipif(sys.platform != "linux", reason="processes are copied on Linux alone")
@pytest.mark.parametrize(("folder", "expected"), [("t", "ForkServer"), (110 * "t", "Spawn")])
def test_processes_are_copies_of_one_where_its_socket_has_room(folder: str, expected: str) -> None:
    program = "from pipeline import spare; process, _ = spare.take(); print(type(process).__name__)"
    with TemporaryDirectory(dir="/tmp") as short:
        temporary = Path(short, folder)
        temporary.mkdir()
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(temporary)},
            capture_output=True,
            text=True,
            check=True,
        )
    assert done.stdout == f"{expected}Process\n"


# Ahead of the job


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: ImageData) -> MnistSettings:
    """Of `mnist` with the recipe of these tests, beside data that are prepared."""
    monkeypatch.chdir(tmp_path)
    write_prepared(data, Path("prepared"))
    texts = RECIPE.parameters | {"data": "noise", "device": "cpu"}
    names = {"widths", "epochs", "batch_size", "holdout", "mask_passes", "data", "device"}
    return parsed(MnistSettings, {name: texts[name] for name in names})


@pytest.mark.parametrize("is_right", [True, False])
def test_a_guess_is_told_only_if_it_is_right(
    begin: Callable[..., Job],
    data: ImageData,
    settings: MnistSettings,
    is_right: bool,
) -> None:
    job = begin(RECIPE if is_right else replace(RECIPE, seed=1))
    told: list[Event] = []
    updates = 0

    def asked() -> tuple[Job, ImageData]:
        assert told == []
        assert not has_state(job.checkpoint)
        return job, data

    def beat() -> None:
        nonlocal updates
        updates += 1

    ahead = Ahead(asked, told.append)
    assert ahead.train(settings, beat) == is_right
    assert ahead.asked == (job, data)
    assert has_state(job.checkpoint) == is_right
    if not is_right:
        assert told == []
        return
    assert updates == RECIPE.epochs * 15  # once each
    expected = list(trained(begin(RECIPE), data, lambda: None))
    assert [type(event) for event in told] == [type(event) for event in expected]
    for event, other in zip(told, expected, strict=True):
        if isinstance(event, Epoch):
            assert isinstance(other, Epoch)
            assert all(map(the_same, event.records, other.records))


def has_state(checkpoint: Checkpoint | None) -> bool:
    return checkpoint is not None and checkpoint.has_state


def test_what_was_begun_before_is_not_guessed_but_gone_on_with(
    begin: Callable[..., Job], data: ImageData, settings: MnistSettings
) -> None:
    job = begin(RECIPE)
    for event in trained(job, data, lambda: None):
        if isinstance(event, Epoch) and event.records[0].epoch == 1:
            break
    told: list[Event] = []
    assert Ahead(lambda: (job, data), told.append).train(settings, lambda: None) is False
    assert told == []


def test_a_network_far_beyond_the_machine_is_refused_before_it_takes_memory(
    begin: Callable[..., Job], data: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux would promise the memory, and end whoever uses it."""
    # 17 x 1,000 + 1,000 x 3 parameters and 3 biases: 20,003, of 24 bytes and more each.
    job = begin(replace(RECIPE, widths=(1000,), batch_size=2**62))
    monkeypatch.setattr(devices, "memory_to_use", lambda _: 100_000)
    with pytest.raises(OutOfMemoryError, match="must fit into the memory of cpu"):
        next(iter(trained(job, data, lambda: None)))
    monkeypatch.setattr(devices, "memory_to_use", lambda _: 50e6)
    assert isinstance(next(iter(trained(job, data, lambda: None))), Begun)
