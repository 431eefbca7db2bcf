"""The data sets known by name: the copy of MNIST, torchvision's sets, and what fails on the way."""

import gzip
import hashlib
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from numpy.typing import NDArray
from torchvision import datasets

from pipeline.data import KNOWN_NAMES, load, prepared
from pipeline.data.known import KNOWN
from pipeline.errors import PipelineError, UsageError

Encode = Callable[[NDArray[np.generic]], bytes]
DEBIAN = Path("/usr/share/datasets/fashion-mnist")
PACKAGE_MNIST = Path(__file__).parents[2] / "pipeline" / "data" / "mnist"
needs_debian = pytest.mark.skipif(
    not DEBIAN.is_dir(), reason="needs Debian's package dataset-fashion-mnist"
)
# An image that no turn or mirror leaves as it is, and its transpose.
UPRIGHT = [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
TRANSPOSED = [[0, 3, 6], [1, 4, 7], [2, 5, 8]]


def test_mnist_comes_from_the_package_with_its_known_counts_and_first_labels() -> None:
    data = load("mnist")
    train = (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949)
    test = (980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009)
    pairs = zip(train, test, strict=True)
    assert data.class_counts == dict(zip("0123456789", pairs, strict=True))
    assert data.train_images.shape == (60_000, 28, 28)
    assert data.test_images.shape == (10_000, 28, 28)
    assert data.train_labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert data.test_labels[:5].tolist() == [7, 2, 1, 0, 4]
    # The mean and deviation by which everybody standardises MNIST.
    pixels = data.train_images.float() / 255
    assert round(float(pixels.mean()), 4) == 0.1307
    assert round(float(pixels.std()), 4) == 0.3081


def test_the_licence_names_the_holders_and_the_verified_digests() -> None:
    text = (PACKAGE_MNIST / "LICENSE.md").read_text(encoding="utf-8")
    assert "Yann LeCun and Corinna Cortes" in text
    assert "Attribution-ShareAlike 3.0" in text
    assert all(digest in text for digest in KNOWN["mnist"].sha256 or ("none",))


@needs_debian
def test_fashion_mnist_is_read_from_a_folder() -> None:
    data = load("fashion-mnist", str(DEBIAN))
    assert data.class_counts == dict.fromkeys(datasets.FashionMNIST.classes, (6000, 1000))
    assert data.classes[int(data.train_labels[0])] == "Ankle boot"


@needs_debian
def test_fashion_mnist_through_torchvision_is_what_torchvision_reads(tmp_path: Path) -> None:
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for path in DEBIAN.glob("*.gz"):
        (raw / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    data = load("fashion-mnist", cache=tmp_path)
    assert data.source == "torchvision.datasets.FashionMNIST"
    for is_train, images, labels in (
        (True, data.train_images, data.train_labels),
        (False, data.test_images, data.test_labels),
    ):
        reference = datasets.FashionMNIST(tmp_path, train=is_train)
        assert images.equal(reference.data)
        assert labels.equal(reference.targets)


def test_class_names_are_those_of_torchvision() -> None:
    emnist = datasets.EMNIST.classes_split_dict
    assert list(KNOWN["fashion-mnist"].classes) == datasets.FashionMNIST.classes
    assert list(KNOWN["kmnist"].classes) == datasets.KMNIST.classes
    for split in ("balanced", "bymerge", "byclass"):
        assert list(KNOWN[f"emnist-{split}"].classes) == emnist[split]
    assert ["N/A", *KNOWN["emnist-letters"].classes] == emnist["letters"]
    for name in ("mnist", "qmnist", "emnist-mnist", "emnist-digits"):
        assert KNOWN[name].classes == tuple("0123456789")


@pytest.mark.parametrize(
    ("split", "labels", "names"),
    [
        ("mnist", [0, 9], ["0", "9"]),
        ("digits", [0, 9], ["0", "9"]),
        ("letters", [1, 26], ["a", "z"]),
        ("balanced", [0, 46], ["0", "t"]),
        ("bymerge", [0, 46], ["0", "t"]),
        ("byclass", [0, 61], ["0", "z"]),
    ],
)
def test_emnist_images_are_upright_and_labels_count_from_0(
    split: str, labels: list[int], names: list[str], tmp_path: Path, encode: Encode
) -> None:
    _write_emnist(tmp_path, split, labels=labels, encode=encode)
    data = load(f"emnist-{split}", cache=tmp_path)
    assert data.train_images.tolist() == data.test_images.tolist() == [UPRIGHT, UPRIGHT]
    assert data.train_images.is_contiguous()
    assert data.train_labels.tolist() == [0, labels[1] - labels[0]]
    assert [data.classes[label] for label in data.test_labels.tolist()] == names


def test_emnist_is_read_from_a_folder_under_its_own_file_names(
    tmp_path: Path, encode: Encode
) -> None:
    raw = _write_emnist(tmp_path, "letters", labels=[1, 26], encode=encode)
    from_folder = load("emnist-letters", str(raw))
    assert from_folder.digest == load("emnist-letters", cache=tmp_path).digest


@pytest.mark.parametrize("split", ["byclass", "letters"])
def test_emnist_is_recognised_by_its_file_names_and_read_upright(
    split: str, tmp_path: Path, encode: Encode
) -> None:
    """The folder's own name, `raw`, says nothing, and neither does a name of one's own."""
    raw = _write_emnist(tmp_path, split, labels=[1, 26], encode=encode)
    found, own = prepared(str(raw), tmp_path), load("mine", str(raw))
    known = KNOWN[f"emnist-{split}"]
    assert (found.name, own.name) == (f"emnist-{split}", "mine")
    assert found.train_images.tolist() == own.train_images.tolist() == [UPRIGHT, UPRIGHT]
    assert found.classes == own.classes == known.classes
    assert found.train_labels.tolist() == [1 - known.first_label, 26 - known.first_label]


def test_emnist_under_plain_file_names_is_upright_where_its_name_says_what_it_is(
    tmp_path: Path, encode: Encode
) -> None:
    raw = _write_emnist(tmp_path, "byclass", labels=[0, 61], encode=encode)
    for path in raw.iterdir():
        path.rename(raw / path.name.removeprefix("emnist-byclass-"))
    assert load("emnist-byclass", str(raw)).train_images.tolist() == [UPRIGHT, UPRIGHT]
    rule = "must be named as one of its sets.*got 'EMNIST-mine'.*emnist-byclass"
    with pytest.raises(PipelineError, match=rule):
        load("EMNIST-mine", str(raw))


def test_a_folder_with_several_sets_needs_the_name_of_one(tmp_path: Path, encode: Encode) -> None:
    raw = _write_emnist(tmp_path, "digits", labels=[0, 9], encode=encode)
    _write_emnist(tmp_path, "byclass", labels=[0, 9], encode=encode)
    assert load("emnist-byclass", str(raw)).classes[9:11] == ("9", "A")
    rule = "needs the name of one, got 'raw' for emnist-digits, emnist-byclass .*--dataset emnist"
    with pytest.raises(PipelineError, match=rule):
        prepared(str(raw), tmp_path)


@pytest.mark.parametrize(
    ("labels", "rule"), [([0, 1], "must start at 1, got 0"), ([1, 27], r"in \[0, 26\).*0 to 26")]
)
def test_labels_outside_emnist_letters_are_refused(
    labels: list[int], rule: str, tmp_path: Path, encode: Encode
) -> None:
    _write_emnist(tmp_path, "letters", labels=labels, encode=encode)
    with pytest.raises(PipelineError, match=rule):
        load("emnist-letters", cache=tmp_path)


def test_qmnist_labels_are_the_first_of_their_columns(tmp_path: Path, encode: Encode) -> None:
    raw = tmp_path / "QMNIST" / "raw"
    raw.mkdir(parents=True)
    for half, labels in (("train", [7, 2]), ("test", [1, 9])):
        images = np.array([UPRIGHT, UPRIGHT], dtype=np.uint8)
        rows = np.array([[label, 4, 2100, 17, 30 + label, 5, 0, 0] for label in labels], np.int32)
        (raw / f"qmnist-{half}-images-idx3-ubyte").write_bytes(encode(images))
        (raw / f"qmnist-{half}-labels-idx2-int").write_bytes(encode(rows))
    data = load("qmnist", cache=tmp_path)
    assert data.train_labels.tolist() == [7, 2]
    assert data.test_labels.tolist() == [1, 9]
    assert data.test_images.tolist() == [UPRIGHT, UPRIGHT]
    assert data.train_labels.equal(datasets.QMNIST(tmp_path, what="train").targets[:, 0])


@pytest.fixture
def mirror(packed_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A server on this machine from which torchvision downloads KMNIST; gives what it serves."""
    monkeypatch.setenv("no_proxy", "*")
    handler = type("Quiet", (SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    with ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(handler, directory=str(packed_folder))
    ) as server:
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        resources = [
            (path.name, hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest())
            for path in packed_folder.iterdir()
        ]
        monkeypatch.setattr(datasets.KMNIST, "resources", resources)
        monkeypatch.setattr(datasets.KMNIST, "mirrors", [f"http://127.0.0.1:{server.server_port}/"])
        yield packed_folder
        server.shutdown()
        thread.join()


@pytest.mark.server
def test_a_data_set_that_is_not_there_is_downloaded_once(mirror: Path, tmp_path: Path) -> None:
    data = load("kmnist", cache=tmp_path / "cache")
    assert data.train_labels.tolist() == [2, 0]
    assert data.classes[2] == "su"
    shutil.rmtree(mirror)
    assert load("kmnist", cache=tmp_path / "cache").digest == data.digest


@pytest.mark.server
def test_a_download_with_a_wrong_digest_is_refused(mirror: Path, tmp_path: Path) -> None:
    path = mirror / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-1])
    _assert_refused(tmp_path, "kmnist must be downloaded once, got RuntimeError.*source=FOLDER")


def test_a_server_that_does_not_answer_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr("pipeline.data.download.ANSWER_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        monkeypatch.setattr(datasets.KMNIST, "mirrors", [address])
        _assert_refused(tmp_path, "kmnist must be downloaded once, got .*source=FOLDER")
    assert socket.getdefaulttimeout() is None


def test_a_server_that_is_not_there_is_a_pipeline_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = f"http://127.0.0.1:{closed.getsockname()[1]}/"
    monkeypatch.setattr(datasets.KMNIST, "mirrors", [address])
    _assert_refused(tmp_path, "kmnist must be downloaded once, got .*source=FOLDER")


@pytest.mark.parametrize("length", [0, 3, 20])
def test_a_download_left_unfinished_is_refused_with_what_to_delete(
    length: int, tmp_path: Path, own_folder: Path
) -> None:
    raw = tmp_path / "cache" / "KMNIST" / "raw"
    shutil.copytree(own_folder, raw)
    path = raw / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:length])
    _assert_refused(tmp_path, f"delete {raw.parent} and try again")


def test_a_cache_that_cannot_be_written_is_a_pipeline_error(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file, not a folder")
    _assert_refused(tmp_path, "kmnist must be downloaded once, got .*source=FOLDER")


@pytest.mark.parametrize(
    "failure", ["raise ImportError('no such thing')", "raise RuntimeError('operator nms missing')"]
)
def test_a_torchvision_that_does_not_fit_torch_is_a_pipeline_error(
    failure: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        monkeypatch.delitem(sys.modules, name)
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text(failure)
    monkeypatch.syspath_prepend(tmp_path)
    _assert_refused(tmp_path, "needs a torchvision that fits the installed torch, got .*FOLDER")


def test_an_unknown_name_without_a_folder_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=f"one of {', '.join(KNOWN_NAMES)}, got 'emnist': "):
        load("emnist")


def _write_emnist(cache: Path, split: str, *, labels: list[int], encode: Encode) -> Path:
    """The raw files of an EMNIST split as torchvision keeps them; gives their folder."""
    raw = cache / "EMNIST" / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    for half in ("train", "test"):
        images = np.array([TRANSPOSED, TRANSPOSED], dtype=np.uint8)
        start = raw / f"emnist-{split}-{half}"
        start.with_name(f"{start.name}-images-idx3-ubyte").write_bytes(encode(images))
        start.with_name(f"{start.name}-labels-idx1-ubyte").write_bytes(
            encode(np.array(labels, dtype=np.uint8))
        )
    return raw


def _assert_refused(folder: Path, rule: str) -> None:
    with pytest.raises(PipelineError, match=rule) as refused:
        load("kmnist", cache=folder / "cache")
    assert "\n" not in str(refused.value)
