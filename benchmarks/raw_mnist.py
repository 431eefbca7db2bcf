"""The bundled MNIST, laid out as torchvision expects a download, and read without torch."""

import gzip
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

MNIST = Path(__file__).parent.parent / "pipeline" / "data" / "mnist"
IMAGE_HEADER, LABEL_HEADER, PIXELS = 16, 8, 784


def lay_out(root: Path) -> Path:
    """Unpack the package's files under `root`, and return it."""
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for path in MNIST.glob("*.gz"):
        (raw / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    return root


def read(root: Path, part: Literal["train", "t10k"]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Images, one row each, and labels of what `lay_out` unpacked there."""
    raw = root / "MNIST" / "raw"
    images, labels = (
        np.frombuffer((raw / f"{part}-{kind}").read_bytes(), np.uint8, offset=header)
        for kind, header in (
            ("images-idx3-ubyte", IMAGE_HEADER),
            ("labels-idx1-ubyte", LABEL_HEADER),
        )
    )
    return images.reshape(-1, PIXELS), labels
