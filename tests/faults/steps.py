"""The lines that are disturbed, and what must be in their folder before."""

import struct
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

_NETWORK = (
    "--data data --epochs 2 --widths 6,4 --batch-size 20 --holdout 20 --probe-every 1 "
    "--mask-passes 1"
)
_TRAIN = f"{_NETWORK} --device cpu"
_CHAMPION = "--model models:/dropout-mnist@champion"
_SWEEP = f"sweep {_NETWORK} --devices cpu"


@dataclass(frozen=True)
class Step:
    """A line and what it needs.

    Attributes:
        line: as typed after the program's name.
        after: the name of the step whose folder it starts from; empty for the data alone.
        has_store: whether a store with its tables is there before.
        keeps: if not empty, what it keeps of that folder, beside the data.
        on_server: its store is that of a tracking server.
        is_once: it refuses to be run again once all is done.
    """

    line: str
    after: str = ""
    has_store: bool = True
    keeps: tuple[str, ...] = ()
    on_server: bool = False
    is_once: bool = False


STEPS = {
    "mnist": Step(f"mnist {_TRAIN} --drop-rate 0.5"),
    "sweep": Step(f"{_SWEEP} --drop-rates 0,0.5 --seeds 0"),
    "sweep-chosen": Step(f"{_SWEEP} --drop-rates 0,0.2,0.5 --seeds 0 --keep chosen"),
    "toy": Step("toy"),
    "new-store": Step("toy", has_store=False),
    "main": Step(f"main {_TRAIN} --drop-rates 0.5"),
    "prepare": Step("prepare --dataset tiny --source data"),
    "publish": Step("publish sweep:latest", after="sweep-chosen"),
    "compare": Step("compare", after="sweep"),
    "explore": Step("explore sweep:latest", after="sweep"),
    "dead": Step(f"mnist {_TRAIN} --drop-rate 0 --learning-rate 0.3 --seed 1"),
    "compact": Step("compact --from run:{network}", after="dead"),
    "register": Step("register --from sweep:latest --force", after="sweep"),
    "export": Step(f"export {_CHAMPION}", after="register", is_once=True),
    "export-zip": Step(f"export {_CHAMPION} --out bundle.zip", after="register", is_once=True),
    "export-again": Step(f"export {_CHAMPION} --force", after="export"),
    "import": Step("import --bundle bundle.zip", after="export-zip", keeps=("bundle.zip",)),
    "predict": Step(f"predict {_CHAMPION} data/t10k-images-idx3-ubyte", after="register"),
    "explain": Step("explain model.py:net images.npy", has_store=False),
    "server-mnist": Step(f"mnist {_TRAIN} --drop-rate 0.5", has_store=False, on_server=True),
    "server-toy": Step("toy", has_store=False, on_server=True),
}
MODEL = """from torch import nn

net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
"""


def write_data(folder: Path) -> None:
    """Write 60 + 20 images of 6 x 5 pixels in three classes, and a network of somebody else's."""
    source = np.random.default_rng(0)
    (folder / "data").mkdir()
    for half, count in (("train", 60), ("t10k", 20)):
        labels = source.integers(0, 3, count).astype(np.uint8)
        images = source.integers(0, 120, (count, 6, 5)).astype(np.uint8)
        for image, label in zip(images, labels, strict=True):
            image[2 * label : 2 * label + 2] += 120
        header = struct.pack(">IIII", 0x0803, count, 6, 5)
        (folder / "data" / f"{half}-images-idx3-ubyte").write_bytes(header + images.tobytes())
        header = struct.pack(">II", 0x0801, count)
        (folder / "data" / f"{half}-labels-idx1-ubyte").write_bytes(header + labels.tobytes())
    (folder / "model.py").write_text(MODEL, "utf-8")
    np.save(folder / "images.npy", source.standard_normal((8, 4)).astype(np.float32))


def needed(steps: Collection[str]) -> list[str]:
    """These steps, and those that make what they start from, in an order in which they can run."""
    wanted = set(steps)
    for name in reversed(STEPS):
        if name in wanted and STEPS[name].after:
            wanted.add(STEPS[name].after)
    return [name for name in STEPS if name in wanted]
