"""IDX files written by hand from the format's description, to be read by the code under test."""

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
# Two training and one test image of 2 x 3 pixels.
ARRAYS = (
    np.arange(12, dtype=np.uint8).reshape(2, 2, 3),
    np.array([2, 0], dtype=np.uint8),
    np.arange(100, 106, dtype=np.uint8).reshape(1, 2, 3),
    np.array([1], dtype=np.uint8),
)


def idx_bytes(array: NDArray[np.generic]) -> bytes:
    """Two zero bytes, type, dimensions, big-endian lengths, big-endian numbers row by row."""
    code = {"uint8": 0x08, "int32": 0x0C}[array.dtype.name]
    header = struct.pack(f">HBB{array.ndim}I", 0, code, array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


@pytest.fixture(scope="session")
def encode() -> Callable[[NDArray[np.generic]], bytes]:
    return idx_bytes


@pytest.fixture
def own_folder(tmp_path: Path) -> Path:
    """A small data set of one's own: train labels 2 and 0, test label 1."""
    folder = tmp_path / "own"
    folder.mkdir()
    for name, array in zip(FILES, ARRAYS, strict=True):
        (folder / name).write_bytes(idx_bytes(array))
    return folder


@pytest.fixture
def packed_folder(own_folder: Path, tmp_path: Path) -> Path:
    """The same data set, gzipped."""
    folder = tmp_path / "packed"
    folder.mkdir()
    for path in own_folder.iterdir():
        (folder / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    return folder
