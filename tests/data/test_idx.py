"""What is read from an IDX file, and which files are refused."""

import gzip
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from pipeline.data import is_idx, parse_idx, read_idx
from pipeline.errors import PipelineError

Encode = Callable[[NDArray[np.generic]], bytes]
SMALL = np.arange(6, dtype=np.uint8).reshape(1, 2, 3)
SHAPES = hnp.array_shapes(min_dims=1, max_dims=3, max_side=5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("idx")


@given(
    array=hnp.arrays(np.uint8, SHAPES) | hnp.arrays(np.int32, SHAPES),
    is_packed=st.booleans(),
)
def test_an_idx_file_is_read_as_it_was_written(
    array: NDArray[np.generic], is_packed: bool, encode: Encode, folder: Path
) -> None:
    content = encode(array)
    path = folder / "round-trip"
    path.write_bytes(gzip.compress(content) if is_packed else content)
    read = read_idx(path)
    assert read.dtype == array.dtype
    np.testing.assert_array_equal(read, array)


@pytest.mark.parametrize("is_packed", [False, True])
def test_the_content_of_a_file_is_parsed_as_the_file_is_read(
    is_packed: bool, encode: Encode
) -> None:
    content = gzip.compress(encode(SMALL)) if is_packed else encode(SMALL)
    np.testing.assert_array_equal(parse_idx(content, "a stream"), SMALL)
    with pytest.raises(PipelineError, match=r"in a stream|got a stream"):
        parse_idx(content[:-1], "a stream")


@pytest.mark.parametrize(
    ("start", "is_one"),
    [
        (b"\0\0\x08\x03", True),
        (b"\0\0\x0c\x01", True),
        (b"\x1f\x8b\x08\0", True),
        (b"\x89PNG", False),
        (b"\0\0\x01\0", False),
    ],
)
def test_an_idx_file_is_known_by_its_first_bytes(start: bytes, is_one: bool) -> None:
    assert is_idx(start) == is_one


@pytest.mark.parametrize("is_packed", [False, True])
def test_every_truncation_of_a_file_is_refused(
    is_packed: bool, encode: Encode, tmp_path: Path
) -> None:
    content = gzip.compress(encode(SMALL)) if is_packed else encode(SMALL)
    path = tmp_path / "truncated"
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(PipelineError):
            read_idx(path)


def test_a_flipped_bit_in_a_gzipped_file_is_refused_or_changes_nothing(
    encode: Encode, tmp_path: Path
) -> None:
    content = gzip.compress(encode(SMALL), mtime=0)
    path = tmp_path / "flipped.gz"
    refused = 0
    for bit in range(8 * len(content)):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        try:
            np.testing.assert_array_equal(read_idx(path), SMALL)
        except PipelineError:
            refused += 1
    # Only the ten bytes of the gzip header hold bits without a meaning: time, system, flags.
    assert refused >= 8 * (len(content) - 10)


def test_a_wrong_checksum_of_a_gzipped_file_is_refused(encode: Encode, tmp_path: Path) -> None:
    content = bytearray(gzip.compress(encode(SMALL)))
    content[-5] ^= 1  # the last eight bytes are checksum and length
    path = tmp_path / "images.gz"
    path.write_bytes(content)
    with pytest.raises(PipelineError, match=r"a gzipped file must unpack.*CRC.*fetch it again"):
        read_idx(path)


def test_gzipped_content_is_known_by_its_content(encode: Encode, tmp_path: Path) -> None:
    path = tmp_path / "images-idx3-ubyte"
    path.write_bytes(gzip.compress(encode(SMALL)))
    np.testing.assert_array_equal(read_idx(path), SMALL)


def test_a_file_named_gz_that_is_not_gzipped_is_refused(encode: Encode, tmp_path: Path) -> None:
    path = tmp_path / "images-idx3-ubyte.gz"
    path.write_bytes(encode(SMALL))
    with pytest.raises(PipelineError, match=r"a file named \.gz must be gzipped"):
        read_idx(path)


@pytest.mark.parametrize("where", ["plain", "inside the gzip", "behind the gzip"])
def test_bytes_behind_the_numbers_are_refused(where: str, encode: Encode, tmp_path: Path) -> None:
    content = encode(SMALL)
    surplus = {
        "plain": content + b"\0",
        "inside the gzip": gzip.compress(content + b"\0"),
        "behind the gzip": gzip.compress(content) + b"surplus",
    }
    path = tmp_path / "surplus"
    path.write_bytes(surplus[where])
    with pytest.raises(PipelineError, match=r"must end after the 6 bytes|must unpack"):
        read_idx(path)


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"", "must start with.*got nothing"),
        (b"\x89PNG\r\n\x1a\n" + bytes(20), "must start with.*got 89 50 4e 47"),
        (b"PK\x03\x04" + bytes(20), "must start with.*got 50 4b 03 04"),
        (b"\0\0\x0d\x01" + bytes(20), "must start with.*got 00 00 0d 01"),
        (b"\0\0\x08\x00" + bytes(20), "1 to 3 dimensions, got 0"),
        (b"\0\0\x08\x04" + bytes(20), "1 to 3 dimensions, got 4"),
        (b"\0\0\x08\x03" + bytes(4), "its whole header, got 8 bytes"),
        (b"\0\0\x08\x01" + bytes(4), r"must not be empty, got the shape \(0,\)"),
        (struct.pack(">HBB3I", 0, 8, 3, 1, 0, 28), "must not be empty"),
    ],
)
def test_a_file_that_is_no_idx_file_is_refused_with_the_rule(
    content: bytes, rule: str, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(PipelineError, match=rule):
        read_idx(path)


@pytest.mark.parametrize("is_packed", [False, True])
@pytest.mark.parametrize("count", [2_000_000_000, 2**32 - 1])
def test_a_header_that_promises_too_much_takes_no_memory(
    is_packed: bool, count: int, tmp_path: Path
) -> None:
    content = struct.pack(">HBBI", 0, 8, 1, count) + bytes(1000)
    path = tmp_path / "greedy"
    path.write_bytes(gzip.compress(content) if is_packed else content)
    assert _peak_bytes_of_refusing(path) < 1_000_000


def test_a_gzip_bomb_behind_a_small_header_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(struct.pack(">HBBI", 0, 8, 1, 10))
        for _ in range(100):
            file.write(bytes(1_000_000))
    assert _peak_bytes_of_refusing(path) < 1_000_000


def test_a_file_larger_than_two_gibibytes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.write(struct.pack(">HBBI", 0, 8, 1, 3 * 2**30))
        file.truncate(8 + 3 * 2**30)  # a hole: takes no room on the disk
    with pytest.raises(PipelineError, match="at most 2147483648 bytes, got 3221225472"):
        read_idx(path)


@pytest.mark.parametrize("name", ["missing", "."])
def test_a_path_that_is_no_file_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="an IDX file must exist"):
        read_idx(tmp_path / name)


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that fails to read")
def test_a_file_that_cannot_be_read_is_a_pipeline_error() -> None:
    with pytest.raises(PipelineError, match="an IDX file must be readable"):
        read_idx(Path("/proc/self/mem"))


def _peak_bytes_of_refusing(path: Path) -> int:
    tracemalloc.start()
    try:
        with pytest.raises(PipelineError):
            read_idx(path)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
