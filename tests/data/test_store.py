"""What is prepared, how it survives mishaps, and what a step gets for what it asks."""

import json
import logging
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from pipeline.data import (
    KNOWN_NAMES,
    ImageData,
    prepared,
    read_folder,
    read_prepared,
    write_prepared,
)
from pipeline.errors import PipelineError, UsageError


@pytest.fixture
def own(own_folder: Path) -> ImageData:
    return read_folder(own_folder, "own")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "new" / "store"


def test_prepared_data_are_read_as_they_were_written(own: ImageData, store: Path) -> None:
    path = write_prepared(own, store)
    data = read_prepared(path)
    assert path == store / "own.safetensors"
    assert [entry.name for entry in store.iterdir()] == ["own.safetensors"]
    for name in ("train_images", "train_labels", "test_images", "test_labels"):
        before, after = getattr(own, name), getattr(data, name)
        assert after.dtype == before.dtype
        assert after.equal(before)
    for name in ("name", "classes", "digest", "source", "licence"):
        assert getattr(data, name) == getattr(own, name)


def test_a_prepared_file_is_readable_without_this_project(own: ImageData, store: Path) -> None:
    with safe_open(write_prepared(own, store), framework="np") as file:
        metadata = file.metadata()
        images, labels = file.get_tensor("train_images"), file.get_tensor("train_labels")
    np.testing.assert_array_equal(images, np.arange(12, dtype=np.uint8).reshape(2, 2, 3))
    np.testing.assert_array_equal(labels, np.array([2, 0], dtype=np.uint8))
    assert images.dtype == labels.dtype == np.uint8
    assert json.loads(metadata["classes"]) == ["0", "1", "2"]
    assert metadata["digest"] == own.digest


def test_what_was_read_does_not_follow_the_file(own: ImageData, store: Path) -> None:
    path = write_prepared(own, store)
    data = read_prepared(path)
    content = path.read_bytes()
    with path.open("r+b") as file:  # in place: the same file, not a new one of this name
        file.write(bytes(len(content)))
    assert data.train_images.equal(own.train_images)


def test_a_flipped_bit_is_refused_or_leaves_images_labels_and_classes(
    own: ImageData, store: Path
) -> None:
    path = write_prepared(own, store)
    content = path.read_bytes()
    payload = len(content) - (12 + 2 + 6 + 1)  # where the pixels and labels begin
    accepted = []
    for bit in range(0, 8 * len(content), 7):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        try:
            data = read_prepared(path, "own")
        except PipelineError:
            continue
        accepted.append(bit // 8)
        assert data.train_images.equal(own.train_images)
        assert data.test_labels.equal(own.test_labels)
        assert data.classes == own.classes
    # Source and licence are for people and not covered by the digest.
    assert 0 < len(accepted) < len(content) / 2
    assert all(byte < payload for byte in accepted)


def test_every_truncation_is_refused_with_what_to_do(own: ImageData, store: Path) -> None:
    path = write_prepared(own, store)
    content = path.read_bytes()
    for length in range(0, len(content), 7):
        path.write_bytes(content[:length])
        with pytest.raises(PipelineError, match=r"prepare the data again$") as refused:
            read_prepared(path)
        assert "\n" not in str(refused.value)


def test_a_safetensors_file_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file({"weight": np.zeros(3, dtype=np.float32)}, path)
    with pytest.raises(PipelineError, match="a prepared file must hold what was written"):
        read_prepared(path)


@pytest.mark.parametrize(
    "classes", ["[" * 100_000, '[["a"], ["b"], ["c"]]', '{"a": 1}', '"abc"', "[1, 2, 3]", "null"]
)
def test_classes_that_are_no_names_are_refused_in_one_line(
    own: ImageData, store: Path, classes: str
) -> None:
    path = write_prepared(own, store)
    with safe_open(path, framework="np") as file:
        metadata = file.metadata() | {"classes": classes}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(tensors, path, metadata=metadata)
    with pytest.raises(PipelineError, match="must hold what was written to it"):
        read_prepared(path)


@pytest.mark.parametrize(
    ("key", "value"),
    [("format", "2"), ("name", "../own"), ("classes", "7"), ("classes", '["a"]'), ("digest", "")],
)
def test_metadata_that_this_version_did_not_write_are_refused(
    key: str, value: str, own: ImageData, store: Path
) -> None:
    path = write_prepared(own, store)
    with safe_open(path, framework="np") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = file.metadata() | {key: value}
    save_file(tensors, path, metadata=metadata)
    with pytest.raises(PipelineError, match="a prepared file must hold what was written"):
        read_prepared(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        PipelineError, match=r"prepared data must be a file.*prepare the data first"
    ):
        prepared(str(tmp_path / "own.safetensors"))


def test_a_folder_that_cannot_be_made_is_refused(own: ImageData, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(PipelineError, match=r"must be written to a folder.*taken.*give another"):
        write_prepared(own, tmp_path / "taken" / "prepared")


@contextmanager
def full_disk() -> Iterator[None]:
    """No file may grow beyond 100 bytes: a write fails half way, as on a full disk.

    A block and no fixture: pytest's own report may go to a file, and comes before teardown.
    """
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_leaves_nothing_half_written(own: ImageData, store: Path) -> None:
    path = write_prepared(own, store)
    before = path.read_bytes()
    with (
        full_disk(),
        pytest.raises(PipelineError, match=r"a folder with room for .* bytes.*make room"),
    ):
        write_prepared(own, store)
    assert list(store.iterdir()) == [path]
    assert path.read_bytes() == before


def test_an_interruption_leaves_nothing_half_written(
    own: ImageData, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_prepared(own, store)
    assert list(store.iterdir()) == []


def test_a_known_set_is_prepared_once_and_read_from_then_on(store: Path) -> None:
    first = prepared("mnist", store)
    written = (store / "mnist.safetensors").stat().st_ino
    second = prepared("mnist", store)
    assert (store / "mnist.safetensors").stat().st_ino == written
    assert second.digest == first.digest
    assert second.test_images.equal(first.test_images)


def test_a_damaged_known_set_is_prepared_again_with_a_warning(
    store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store.mkdir(parents=True)
    (store / "mnist.safetensors").write_bytes(b"half a file")
    with caplog.at_level(logging.WARNING):
        data = prepared("mnist", store)
    assert "prepare the data again" in caplog.text
    assert data.train_labels[:3].tolist() == [5, 0, 4]
    assert read_prepared(store / "mnist.safetensors").digest == data.digest


def test_a_set_of_ones_own_is_read_by_its_name_once_it_is_prepared(
    own: ImageData, store: Path
) -> None:
    write_prepared(own, store)
    assert prepared("own", store).digest == own.digest


def test_a_damaged_set_of_ones_own_is_refused(own: ImageData, store: Path) -> None:
    path = write_prepared(own, store)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(PipelineError, match="prepare the data again"):
        prepared("own", store)


def test_a_prepared_file_under_another_name_is_refused(own: ImageData, store: Path) -> None:
    write_prepared(own, store).rename(store / "other.safetensors")
    with pytest.raises(PipelineError, match=r"got the data set 'own' in .*other\.safetensors"):
        prepared("other", store)


def test_a_prepared_file_is_read_by_its_path(own: ImageData, store: Path) -> None:
    assert prepared(str(write_prepared(own, store))).digest == own.digest


def test_a_folder_of_idx_files_is_read_and_named_after_the_folder(
    own: ImageData, own_folder: Path, store: Path
) -> None:
    data = prepared(str(own_folder), store)
    assert (data.name, data.digest) == ("own", own.digest)
    assert not store.exists()


@pytest.mark.parametrize("data", ["nothing", "", "no/such/folder", "x" * 300])
def test_anything_else_is_refused_with_what_there_is(data: str, store: Path) -> None:
    with pytest.raises(UsageError, match=f"data must be one of {', '.join(KNOWN_NAMES)}, "):
        prepared(data, store)
