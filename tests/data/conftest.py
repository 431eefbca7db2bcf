"""IDX files written by hand from the format's description, to be read by the code under test."""

import gzip
import struct
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

Array = NDArray[np.uint8]
Encode = Callable[[NDArray[np.generic]], bytes]
WriteFolder = Callable[..., Path]

# Two training and one test image of 2 x 3 pixels.
FILES: Mapping[str, Array] = {
    "train-images-idx3-ubyte": np.arange(12, dtype=np.uint8).reshape(2, 2, 3),
    "train-labels-idx1-ubyte": np.array([2, 0], dtype=np.uint8),
    "t10k-images-idx3-ubyte": np.arange(100, 106, dtype=np.uint8).reshape(1, 2, 3),
    "t10k-labels-idx1-ubyte": np.array([1], dtype=np.uint8),
}


def idx_bytes(array: NDArray[np.generic]) -> bytes:
    """Two zero bytes, type, dimensions, big-endian lengths, numbers row by row."""
    code = {"uint8": 0x08, "int32": 0x0C}[array.dtype.name]
    lengths = struct.pack(f">{array.ndim}I", *array.shape)
    return bytes([0, 0, code, array.ndim]) + lengths + array.astype(array.dtype.newbyteorder(">")).tobytes()


@pytest.fixture(scope="session")
def encode() -> Encode:
    return idx_bytes


@pytest.fixture
def write_folder(tmp_path: Path) -> WriteFolder:
    """Writes the small data set; keyword `changes` replaces files, None leaves one out."""

    def write(name: str = "own", *, packed: bool = False, **changes: bytes | Array | None) -> Path:
        folder = tmp_path / name
        folder.mkdir(parents=True, exist_ok=True)
        parts = {key: key.split("-idx")[0].replace("-", "_") for key in FILES}
        for file, array in FILES.items():
            content = changes.get(parts[file], array)
            if content is None:
                continue
            raw = content if isinstance(content, bytes) else idx_bytes(content)
            (folder / (f"{file}.gz" if packed else file)).write_bytes(
                gzip.compress(raw) if packed else raw
            )
        return folder

    return write
