"""Devices: which is meant, and that training is the same thing on each."""

import math
import platform
import resource
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.config.recipe import Recipe
from pipeline.errors import PipelineError
from pipeline.training import device as devices
from pipeline.training.batches import Examples, order
from pipeline.training.loop import epochs
from pipeline.training.masks import RandomMasks
from pipeline.training.optimizer import Optimizer
from pipeline.training.stack import Stack

CPU = torch.device("cpu")
ACCELERATORS = [
    pytest.param(
        "cuda",
        marks=[
            pytest.mark.cuda,
            pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU here"),
        ],
    ),
    pytest.param(
        "mps",
        marks=[
            pytest.mark.mps,
            pytest.mark.skipif(not torch.backends.mps.is_available(), reason="no Apple GPU here"),
        ],
    ),
]


def test_a_stream_depends_on_seed_and_name_and_on_nothing_else() -> None:
    def draw(seed: int, stream: str) -> list[int]:
        return torch.randperm(20, generator=devices.generator(CPU, seed, stream)).tolist()

    assert draw(1, "a") == draw(1, "a")
    assert draw(1, "a") != draw(2, "a")
    assert draw(1, "a") != draw(1, "b")


def test_random_bits_are_fair_in_each_of_their_64_places() -> None:
    """With 100,000 words, 64 binomials, six standard deviations: a false alarm in 1e7 runs."""
    words = torch.empty(100_000, dtype=torch.int64)
    devices.fill_with_random_bits(words, devices.generator(CPU, 0, "bits"))
    places = np.unpackbits(words.numpy().view(np.uint8)).reshape(-1, 64).mean(0)
    assert np.abs(places - 0.5).max() < 6 * 0.5 / 100_000**0.5


def test_auto_is_a_device_that_is_there() -> None:
    assert torch.ones(1, device=devices.resolve("auto")).item() == 1


def test_more_gpus_than_there_are_is_an_error() -> None:
    with pytest.raises(PipelineError, match=r"got cuda:99, but torch .* finds"):
        devices.resolve("cuda:99")


def test_the_cpu_is_there_and_apple_s_gpu_where_torch_finds_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert devices.resolve("cpu") == CPU
    with pytest.raises(PipelineError, match="got mps, but torch finds no Apple GPU here"):
        devices.resolve("mps")


def test_a_device_is_described_by_its_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "NVIDIA H100")
    monkeypatch.setattr(devices, "_processor", lambda: "AMD EPYC")
    assert devices.describe(torch.device("cuda", 0)) == "cuda:0 (NVIDIA H100)"
    assert devices.describe(CPU) == "cpu (AMD EPYC)"


def test_a_processor_is_what_linux_calls_its_model_and_elsewhere_what_python_calls_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(devices, "Path", lambda path: tmp_path / path.rpartition("/")[2])
    processor = devices._processor.__wrapped__
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    for named, expected in (("", "arm64"), ("arm", "arm")):
        monkeypatch.setattr(platform, "processor", lambda named=named: named)
        assert processor() == expected
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: AMD EPYC\n")
    assert processor() == "AMD EPYC"


def test_a_container_s_limits_count_and_without_one_there_are_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(devices, "Path", lambda path: tmp_path / path.rpartition("/")[2])
    assert (devices._cpu_limit(), devices._memory_limit()) == (math.inf, math.inf)
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    (tmp_path / "memory.max").write_text("1000000\n")
    assert (devices._cpu_limit(), devices._memory_limit()) == (1.5, 1_000_000)
    assert devices.memory_to_use(CPU) == 500_000
    (tmp_path / "cpu.max").write_text("max 100000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert (devices._cpu_limit(), devices._memory_limit()) == (math.inf, math.inf)


def test_the_peak_of_memory_is_in_mb_whoever_tells_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA in bytes, Linux in KiB, and where /proc is not: macOS in bytes, others in KiB."""
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda _: 3_000_000)
    assert devices.peak_memory_mb(torch.device("cuda", 0)) == 3
    monkeypatch.setattr(devices, "_lines", lambda _: ["VmPeak:\t9000 kB", "VmHWM:\t5000 kB"])
    assert devices.peak_memory_mb(CPU) == 5.12
    monkeypatch.setattr(devices, "_lines", lambda _: [])
    monkeypatch.setattr(resource, "getrusage", lambda _: SimpleNamespace(ru_maxrss=7000))
    for system, expected in (("linux", 7.168), ("darwin", 0.007)):
        monkeypatch.setattr(sys, "platform", system)
        assert devices.peak_memory_mb(CPU) == expected


def test_a_graph_is_captured_at_its_second_run_and_another_shape_never_enters_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Capturing is CUDA's; here a replay is the work itself, on what was copied in."""
    captures = []

    def capture(work: Callable[[], list[Tensor]], generators: Iterable[object]) -> object:
        captures.append(generators)
        return work

    monkeypatch.setattr(devices, "_capture", capture)
    graph = devices.Graph(generators := [])
    found, so_far = [], []
    for given in ([1.0, 2.0], [3.0, 4.0], [5.0], [6.0, 7.0]):
        [doubled] = graph.run(lambda x: [2 * x], torch.tensor(given))
        found.append(doubled.tolist())
        so_far.append(len(captures))
    assert found == [[2, 4], [6, 8], [10], [12, 14]]
    assert so_far == [0, 1, 1, 1]
    assert captures[0] is generators


def test_a_lack_of_memory_becomes_one_line() -> None:
    with (
        pytest.raises(PipelineError, match="must fit into the memory of cpu"),
        devices.explaining_lack_of_memory(CPU),
    ):
        torch.empty(2**60, dtype=torch.uint8)
    with (
        pytest.raises(RuntimeError, match="something else"),
        devices.explaining_lack_of_memory(CPU),
    ):
        raise RuntimeError("something else")


@pytest.mark.parametrize("name", ACCELERATORS)
def test_masks_on_an_accelerator_drop_both_halves_of_their_words_alike(name: str) -> None:
    """With 1,000,000 units in each half, six standard deviations."""
    device = devices.resolve(name)
    mask, _ = RandomMasks(
        [Recipe(drop_rate=0.5, widths=(1000,))], (1000, 10), stream="epoch 1", device=device
    ).draw(2000)
    assert mask is not None
    for half in (mask[..., 0::2], mask[..., 1::2]):
        assert abs(half.float().mean().item() - 0.5) < 6 * 0.5 / 1e6**0.5


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", ACCELERATORS)
def test_training_on_an_accelerator_starts_as_on_the_cpu_and_learns(
    name: str, precision: str
) -> None:
    device = devices.resolve(name)
    source = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (400, 9), dtype=torch.uint8, generator=source)
    data = Examples(images.to(device), images[:, :3].long().argmax(1).to(device))
    recipes = [
        Recipe(
            widths=(16, 12),
            batch_size=20,
            epochs=20,
            seed=seed,
            drop_rate=0.1,
            learning_rate=0.01,
            precision="float32" if precision == "float32" else "bfloat16",
            probe_every=2,
        )
        for seed in (0, 1)
    ]
    stack = Stack(recipes, inputs=9, classes=3).to(device)
    for key, values in Stack(recipes, inputs=9, classes=3).state(1).items():
        np.testing.assert_array_equal(stack.state(1)[key], values)
    *_, last = epochs(stack, Optimizer(stack), training=data, validation=data)
    for record in last:
        assert record.train_eval.accuracy > 0.9
        assert record.layers[0].causes.pairs == 200 * 16
    assert sorted(order(0, epoch=1, samples=400).tolist()) == list(range(400))


@pytest.mark.slow
def test_the_peak_of_memory_is_this_process_s_own() -> None:
    """A process that is started by a large one has not held what that one holds."""
    held = np.ones(400_000_000, np.uint8)
    small = (
        "import torch; from pipeline.training import device; "
        "print(device.peak_memory_mb(torch.device('cpu')))"
    )
    # A fork, as every shell and `mlflow run` starts its processes: the child begins as a copy.
    started = subprocess.run(
        [sys.executable, "-c", small],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
        close_fds=False,
    )
    child, parent = float(started.stdout), devices.peak_memory_mb(CPU)
    assert 50 < child < parent - 300
    assert parent > held.nbytes / 1e6


def test_while_others_use_the_cores_an_operation_has_one_thread() -> None:
    before, cores = torch.get_num_threads(), devices.cores()
    try:
        torch.set_num_threads(3)
        with devices.one_thread():
            assert torch.get_num_threads() == 1
            assert devices.cores() == cores
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
