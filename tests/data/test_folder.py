"""What a folder of IDX files becomes, and which folders are refused."""

import gzip
import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pipeline.data import read_folder
from pipeline.errors import PipelineError, UsageError

Encode = Callable[[NDArray[np.generic]], bytes]
PACKAGE_MNIST = Path(__file__).parents[2] / "pipeline" / "data" / "mnist"


def test_four_files_become_images_labels_and_classes(own_folder: Path) -> None:
    data = read_folder(own_folder, "own")
    assert data.name == "own"
    assert data.train_images.dtype == data.test_images.dtype == torch.uint8
    assert data.train_labels.dtype == data.test_labels.dtype == torch.int64
    assert data.train_images.tolist() == [[[0, 1, 2], [3, 4, 5]], [[6, 7, 8], [9, 10, 11]]]
    assert data.train_labels.tolist() == [2, 0]
    assert data.test_images.tolist() == [[[100, 101, 102], [103, 104, 105]]]
    assert data.test_labels.tolist() == [1]
    assert data.classes == ("0", "1", "2")
    assert data.class_counts == {"0": (1, 0), "1": (0, 1), "2": (1, 0)}
    assert data.source == str(own_folder)


def test_the_digest_covers_shapes_classes_images_and_labels(own_folder: Path) -> None:
    # By hand: JSON of shapes and classes, then train images and labels, test images and labels.
    content = b'[[[2, 2, 3], [1, 2, 3]], ["0", "1", "2"]]'
    content += bytes([*range(12), 2, 0, *range(100, 106), 1])
    expected = hashlib.blake2b(content, digest_size=16).hexdigest()
    assert read_folder(own_folder, "own").digest == expected


def test_gzipped_files_have_the_digest_of_plain_ones(own_folder: Path, packed_folder: Path) -> None:
    assert read_folder(packed_folder, "own").digest == read_folder(own_folder, "own").digest


@pytest.mark.parametrize(
    ("before", "after"), [("-idx", ".idx"), ("t10k-", "test-"), ("t10k-images-", "test-images.")]
)
def test_other_spellings_of_the_file_names_are_found(
    before: str, after: str, own_folder: Path
) -> None:
    expected = read_folder(own_folder, "own").digest
    for path in own_folder.iterdir():
        path.rename(path.with_name(path.name.replace(before, after)))
    assert read_folder(own_folder, "own").digest == expected


def test_a_plain_file_is_read_before_a_gzipped_one(own_folder: Path) -> None:
    expected = read_folder(own_folder, "own").digest
    (own_folder / "train-labels-idx1-ubyte.gz").write_bytes(b"not read")
    assert read_folder(own_folder, "own").digest == expected


def test_images_of_any_size_are_read(own_folder: Path, encode: Encode) -> None:
    for name, count in (("train", 2), ("t10k", 1)):
        images = np.full((count, 5, 7), 9, dtype=np.uint8)
        (own_folder / f"{name}-images-idx3-ubyte").write_bytes(encode(images))
    assert read_folder(own_folder, "own").train_images.shape == (2, 5, 7)


@pytest.mark.parametrize(
    ("file", "array", "rule"),
    [
        (
            "train-labels-idx1-ubyte",
            [2, 0, 1],
            "match in number and be non-empty, got 2 images and 3 labels",
        ),
        (
            "t10k-labels-idx1-ubyte",
            [1, 1],
            "match in number and be non-empty, got 1 images and 2 labels",
        ),
        ("t10k-labels-idx1-ubyte", [3], r"test labels must be in \[0, 3\).*got 3 to 3"),
        ("t10k-images-idx3-ubyte", [[[1, 2], [3, 4]]], "same size, got 2 x 3 and 2 x 2"),
        ("train-images-idx3-ubyte", [1, 2], "train images must be uint8 in 3 .*got uint8 in 1"),
        (
            "train-labels-idx1-ubyte",
            [[[1]], [[2]]],
            "labels must be uint8 in 1 dim.*got uint8 in 3",
        ),
    ],
)
def test_files_that_do_not_fit_each_other_are_refused(
    file: str, array: list[object], rule: str, own_folder: Path, encode: Encode
) -> None:
    (own_folder / file).write_bytes(encode(np.array(array, dtype=np.uint8)))
    _assert_refused(own_folder, "own", rule)


def test_images_that_are_not_bytes_are_refused(own_folder: Path, encode: Encode) -> None:
    images = np.zeros((2, 2, 3), dtype=np.int32)
    (own_folder / "train-images-idx3-ubyte").write_bytes(encode(images))
    _assert_refused(own_folder, "own", "train images must be uint8 in 3 .*got int32 in 3")


def test_a_missing_file_is_refused_with_its_names(own_folder: Path) -> None:
    (own_folder / "t10k-labels-idx1-ubyte").unlink()
    _assert_refused(own_folder, "own", r"one t10k-labels-idx1-ubyte or .*test-labels.*got none")


@pytest.mark.parametrize("name", ["raw", "MNIST/raw"])
def test_a_folder_above_the_files_is_refused_with_theirs(
    name: str, own_folder: Path, tmp_path: Path
) -> None:
    below = tmp_path / "data" / name
    below.parent.mkdir(parents=True)
    own_folder.rename(below)
    _assert_refused(tmp_path / "data", "own", f"got none in .*data: give {below}$")


def test_two_spellings_of_one_file_are_refused(own_folder: Path) -> None:
    (own_folder / "test-labels-idx1-ubyte").write_bytes(b"which one?")
    _assert_refused(own_folder, "own", "got both t10k-labels-idx1-ubyte and test-labels-idx1-ubyte")


def test_a_damaged_file_is_refused_with_its_path(own_folder: Path) -> None:
    path = own_folder / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-1])
    _assert_refused(own_folder, "own", f"promises, got fewer in {path}: it is truncated")


@pytest.mark.parametrize("name", ["missing", "train-images-idx3-ubyte"])
def test_a_source_that_is_no_folder_is_refused(name: str, own_folder: Path) -> None:
    _assert_refused(own_folder / name, "own", "source must be a folder of IDX files")


@pytest.mark.parametrize("name", ["", ".", "..", ".own", "a/b", "a\\b", "own ", "a\nb", "x" * 101])
def test_a_name_that_cannot_be_a_file_is_refused(name: str, own_folder: Path) -> None:
    with pytest.raises(UsageError, match="name must be usable as a file name"):
        read_folder(own_folder, name)


def test_a_name_with_spaces_is_allowed(own_folder: Path) -> None:
    assert read_folder(own_folder, "my own digits").name == "my own digits"


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_other_data_under_a_published_name_are_refused(name: str, own_folder: Path) -> None:
    _assert_refused(own_folder, name, f"{name} must be the published files .*another name")


def test_one_flipped_bit_in_a_published_file_is_refused(tmp_path: Path) -> None:
    for path in PACKAGE_MNIST.glob("*.gz"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    labels = tmp_path / "t10k-labels-idx1-ubyte.gz"
    content = bytearray(gzip.decompress(labels.read_bytes()))
    content[5000] ^= 1
    labels.write_bytes(gzip.compress(content))
    _assert_refused(tmp_path, "mnist", "mnist must be the published files .*t10k-labels")


@pytest.mark.parametrize("separator", ["  ", " *"])
def test_files_as_listed_in_sha256sums_are_read(separator: str, packed_folder: Path) -> None:
    _list_checksums(packed_folder, separator)
    assert read_folder(packed_folder, "own").train_labels.tolist() == [2, 0]


def test_a_file_that_differs_from_sha256sums_is_refused(own_folder: Path) -> None:
    _list_checksums(own_folder, "  ")
    path = own_folder / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    _assert_refused(own_folder, "own", "SHA256SUMS must list train-images-idx3-ubyte with")


def test_a_file_that_sha256sums_does_not_list_is_refused(own_folder: Path) -> None:
    (own_folder / "SHA256SUMS").write_text("")
    _assert_refused(own_folder, "own", "SHA256SUMS must list .*got no line: ")


def test_a_list_that_is_not_text_is_refused(own_folder: Path) -> None:
    (own_folder / "SHA256SUMS").write_bytes(b"\xff\xfe")
    _assert_refused(own_folder, "own", "SHA256SUMS and the files it lists must be readable")


def _list_checksums(folder: Path, separator: str) -> None:
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}{separator}{path.name}\n"
        for path in folder.iterdir()
    ]
    (folder / "SHA256SUMS").write_text("".join(lines))


def _assert_refused(folder: Path, name: str, rule: str) -> None:
    with pytest.raises(PipelineError, match=rule) as refused:
        read_folder(folder, name)
    assert "\n" not in str(refused.value)
