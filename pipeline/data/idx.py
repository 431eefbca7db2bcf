"""Reads IDX files, the format of MNIST and its relatives, into arrays."""

import gzip
import io
import math
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.data.paths import is_file
from pipeline.errors import PipelineError

GZIP_MAGIC = b"\x1f\x8b"
# The code of each number type in an IDX header: bytes, and QMNIST's big-endian integers.
TYPE_CODES: dict[int, np.dtype[Any]] = {0x08: np.dtype("u1"), 0x0C: np.dtype(">i4")}
# No deflate stream can grow more than this: zlib.net/zlib_tech.html, "Maximum Compression Factor".
DEFLATE_LIMIT = 1032
# A whole data set is kept in memory; more than this in one file is a mistake or an attack.
MAX_BYTES = 2**31

Numbers = NDArray[np.uint8] | NDArray[np.int32]


def read_idx(path: Path) -> Numbers:
    """The array in an IDX file, plain or gzipped, as uint8 or int32.

    Sizes are checked against the header before memory is allocated, and no more is unpacked than
    the header promises.

    Args:
        path: the file; its content, not its name, decides whether it is unpacked.

    Raises:
        PipelineError: the file is missing, unreadable, damaged, not an IDX file or empty.
    """
    if not is_file(path):
        raise PipelineError(f"an IDX file must exist, got {path}: give a folder that holds it")
    try:
        with path.open("rb") as file:
            return _read(file, path.stat().st_size, path=path)
    except OSError as error:
        raise PipelineError(
            f"an IDX file must be readable, got {path} ({error.strerror}): check its permissions"
        ) from error


def parse_idx(content: bytes, name: str) -> Numbers:
    """The array in the content of an IDX file, plain or gzipped, as `read_idx` gives it.

    Args:
        content: all its bytes.
        name: its name in errors.

    Raises:
        PipelineError: the content is damaged, not an IDX file or empty.
    """
    return _read(io.BytesIO(content), len(content), path=Path(name))


def is_idx(start: bytes) -> bool:
    """Whether a file that starts like this must be meant as an IDX file, gzipped or not.

    Args:
        start: its first three bytes at least.
    """
    return start[:2] == GZIP_MAGIC or (start[:2] == b"\0\0" and start[2] in TYPE_CODES)


def _read(file: io.BufferedReader | io.BytesIO, packed_bytes: int, *, path: Path) -> Numbers:
    """The array in an open IDX file of this size, plain or gzipped."""
    try:
        with _unpacked(file, packed_bytes, path=path) as (stream, capacity):
            return _parse(stream, capacity, path=path)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise PipelineError(
            f"a gzipped file must unpack, got {path} ({error}): it is damaged, fetch it again"
        ) from error


@contextmanager
def _unpacked(
    file: io.BufferedReader | io.BytesIO, packed_bytes: int, *, path: Path
) -> Iterator[tuple[io.BufferedIOBase, int]]:
    """The file's content as a stream, and the most bytes that can come out of it."""
    is_gzip = file.read(2) == GZIP_MAGIC
    file.seek(0)
    if is_gzip:
        with gzip.GzipFile(fileobj=file) as stream:
            yield stream, packed_bytes * DEFLATE_LIMIT
    elif path.suffix == ".gz":
        raise PipelineError(
            f"a file named .gz must be gzipped, got {path}: fetch it again or drop the .gz"
        )
    else:
        yield file, packed_bytes


def _parse(stream: io.BufferedIOBase, capacity: int, *, path: Path) -> Numbers:
    """The array in an unpacked IDX stream that can hold at most `capacity` bytes."""
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in TYPE_CODES:
        raise PipelineError(
            "an IDX file must start with the bytes 00 00 08 (bytes) or 00 00 0c (integers), "
            f"got {magic.hex(' ') or 'nothing'} in {path}: give a file in IDX format"
        )
    dimensions = magic[3]
    if not 1 <= dimensions <= 3:
        raise PipelineError(
            f"an IDX file must have 1 to 3 dimensions, got {dimensions} in {path}: "
            "give grey images (3) or labels (1)"
        )
    lengths = stream.read(4 * dimensions)
    if len(lengths) < 4 * dimensions:
        raise PipelineError(
            f"an IDX file must hold its whole header, got {4 + len(lengths)} bytes in {path}: "
            "it is truncated, fetch it again"
        )
    shape = struct.unpack(f">{dimensions}I", lengths)
    dtype = TYPE_CODES[magic[2]]
    promised = math.prod(shape) * dtype.itemsize
    if promised == 0:
        raise PipelineError(
            f"an IDX file must not be empty, got the shape {shape} in {path}: "
            "give at least one image or label"
        )
    if promised > MAX_BYTES:
        raise PipelineError(
            f"an IDX file must hold at most {MAX_BYTES} bytes, got {promised} in {path}: "
            "give fewer or smaller images"
        )
    if promised > capacity - 4 - 4 * dimensions:
        raise _truncated(path, promised)
    content = _read_exactly(stream, promised, path=path)
    numbers: Numbers = content.view(dtype).reshape(shape)
    return numbers.astype(dtype.newbyteorder("="), copy=False)


def _read_exactly(stream: io.BufferedIOBase, promised: int, *, path: Path) -> NDArray[np.uint8]:
    """The rest of the stream, which must be as long as promised."""
    content = np.empty(promised, dtype=np.uint8)
    filled = 0
    while filled < promised:
        count = stream.readinto(content[filled:].data)
        if not count:
            raise _truncated(path, promised)
        filled += count
    # Reading on to the end is also what makes gzip compare its checksum.
    if stream.read(1):
        raise PipelineError(
            f"an IDX file must end after the {promised} bytes its header promises, "
            f"got more in {path}: it is damaged or not an IDX file, fetch it again"
        )
    return content


def _truncated(path: Path, promised: int) -> PipelineError:
    """The error for a file that is shorter than its header says."""
    return PipelineError(
        f"an IDX file must hold the {promised} bytes its header promises, got fewer in {path}: "
        "it is truncated, fetch it again"
    )
