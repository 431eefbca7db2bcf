"""Two processes with gloo: what each of them counts, and the sums over both."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

from why_zero import ZeroProbe

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
PASSES = 3


class Network(nn.Module):
    """A ReLU with dropout, and on demand one more."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Linear(6, 8), nn.Linear(8, 3)
        self.relu, self.dropout = nn.ReLU(), nn.Dropout(0.5)

    def forward(self, x: Tensor, *, is_deep: bool = False) -> Tensor:
        y = self.last(self.dropout(self.relu(self.first(x))))
        return y.relu() if is_deep else y


def whole(network: Network) -> nn.Module:
    return fully_shard(network, mesh=init_device_mesh("cpu", (2,)))


def by_layer(network: Network) -> nn.Module:
    mesh = init_device_mesh("cpu", (2,))
    fully_shard(network.first, mesh=mesh)
    fully_shard(network.last, mesh=mesh)
    return fully_shard(network, mesh=mesh)


WRAPPERS = {"ddp": DistributedDataParallel, "fully_shard": whole, "fully_shard by layer": by_layer}


def inputs(rank: int) -> Tensor:
    """Another number of samples on each rank."""
    return torch.randn(10 + rank, 6, generator=torch.Generator().manual_seed(rank))


def gradients(wrapper: str, *, rank: int, watched: str) -> tuple[list[Tensor], ZeroProbe]:
    """Those after some passes, and the probe that watched the network or what is around it."""
    inner = Network()
    outer = WRAPPERS[wrapper](inner)
    probe = ZeroProbe(outer if watched == "outer" else inner, strict=True)
    torch.manual_seed(rank)
    if watched != "nothing":
        probe.start()
    for _ in range(PASSES):
        outer(inputs(rank)).sum().backward()
    if watched != "nothing":
        probe.stop()
    found = [parameter.grad for parameter in outer.parameters()]
    return [g.to_local() if hasattr(g, "to_local") else g for g in found], probe


def by_hand(rank: int) -> Tensor:
    """Active, dropped, inactive and both by unit, summed over ranks by an all-reduce."""
    network, x = Network(), inputs(rank)
    torch.manual_seed(rank)
    counts = torch.zeros(4, 8, dtype=torch.int64)
    for _ in range(PASSES):
        keep = F.dropout(torch.ones(len(x), 8), 0.5) != 0
        is_open = network.first(x) > 0
        for k, flags in enumerate(
            (is_open & keep, is_open & ~keep, ~is_open & keep, ~is_open & ~keep)
        ):
            counts[k] += flags.sum(0)
    dist.all_reduce(counts)
    return counts


def report_wrapper(wrapper: str, rank: int) -> dict[str, object]:
    expected = by_hand(rank).tolist()
    plain, _ = gradients(wrapper, rank=rank, watched="nothing")
    said: dict[str, object] = {"expected": expected}
    for watched in ("inner", "outer"):
        found, probe = gradients(wrapper, rank=rank, watched=watched)
        merged = probe.merge_ranks()
        (layer,) = merged.layers.values()
        causes = layer.causes
        said[watched] = {
            "name": layer.name,
            "counts": [
                counts.tolist()
                for counts in (causes.active, causes.dropped, causes.inactive, causes.both)
            ],
            "passes": layer.passes,
            "own passes": probe.layers[layer.name].passes,
            "same bits": all(map(torch.equal, found, plain)),
            "notes": dict(merged.notes),
        }
    return said


def report_uneven(rank: int) -> dict[str, object]:
    """Rank 1 alone calls a second ReLU; rank 0 alone makes an evaluation pass and meets a NaN."""
    network = Network()
    with ZeroProbe(network) as probe:
        network(inputs(rank), is_deep=rank == 1)
        if rank == 0:
            network(torch.full((2, 6), torch.nan))
            network.eval()
            network(inputs(rank))
    merged = probe.merge_ranks()
    return {
        "own": sorted(probe.layers),
        "training": {name: layer.causes.pairs for name, layer in merged.layers.items()},
        "evaluation": {
            name: layer.causes.pairs for name, layer in merged.evaluation_layers.items()
        },
        "passes": {name: layer.passes for name, layer in merged.layers.items()},
        "set aside": merged.set_aside,
    }


def main(rank: int, folder: Path) -> None:
    """What one of two processes does."""
    meeting = f"file://{folder / 'meeting'}"
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=2)
    said = {wrapper: report_wrapper(wrapper, rank) for wrapper in WRAPPERS}
    said["uneven"] = report_uneven(rank)
    (folder / f"{rank}.json").write_text(json.dumps(said), "utf-8")
    dist.barrier()
    os._exit(0)  # torch's threads now and then abort a process that ends by itself


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What both processes have to say, by rank."""
    if not dist.is_gloo_available():
        pytest.skip("this torch has no gloo")
    folder = tmp_path_factory.mktemp("ranks")
    processes = [
        subprocess.Popen(
            [sys.executable, __file__, str(rank), str(folder)],
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        for process in processes:
            _, error = process.communicate(timeout=60)
            assert process.returncode == 0, error
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return [json.loads((folder / f"{rank}.json").read_text("utf-8")) for rank in range(2)]


@pytest.mark.parametrize("watched", ["inner", "outer"])
@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_the_sums_over_ranks_are_what_both_have_counted(
    wrapper: str, watched: str, said: list[dict[str, Any]]
) -> None:
    for on_rank in said:
        expected = on_rank[wrapper]["expected"]
        is_wrapped = watched == "outer" and wrapper == "ddp"
        assert on_rank[wrapper][watched] == {
            "name": "module.relu" if is_wrapped else "relu",
            "counts": expected,
            "passes": 2 * PASSES,
            "own passes": PASSES,
            "same bits": True,
            "notes": {},
        }
        # 10 and 11 samples of 8 units, three times.
        assert sum(map(sum, expected)) == (10 + 11) * 8 * PASSES


def test_a_layer_that_one_rank_has_not_seen_is_that_of_the_other(
    said: list[dict[str, Any]],
) -> None:
    zero, one = (on_rank["uneven"] for on_rank in said)
    assert zero.pop("own") == ["relu"]
    assert len(one.pop("own")) == 2
    assert zero == one
    assert sorted(zero["training"].values()) == [11 * 3, (10 + 11) * 8]
    assert sorted(zero["passes"].values()) == [1, 2]
    assert zero["evaluation"] == {"relu": 10 * 8}
    assert zero["set aside"] == 1


def test_a_process_alone_is_the_only_rank() -> None:
    network = Network()
    with ZeroProbe(network) as probe:
        network(inputs(0))
    assert probe.merge_ranks().to_dict() == probe.to_dict()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
