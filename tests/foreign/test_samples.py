"""Samples from files of every kind; every mistake is one line."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from pipeline.errors import PipelineError
from pipeline.foreign import load_samples

X = torch.arange(12.0).reshape(4, 3)


class Harmful:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return (Path.touch, (Path("ran"),))


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", X.numpy())
    torch.save(X, "x.pt")
    save_file({"a": X, "b": X + 1}, "x.safetensors")


@pytest.mark.parametrize("name", ["x.npy", "x.pt", "x.safetensors", "x.safetensors:a"])
def test_a_file_gives_its_tensor_and_the_limit_its_first_samples(name: str) -> None:
    assert torch.equal(load_samples(name), X)
    assert torch.equal(load_samples(name, 2), X[:2])


def test_a_tensor_is_taken_by_its_name() -> None:
    assert torch.equal(load_samples("x.safetensors:b"), X + 1)


def test_whole_numbers_stay_what_they_are() -> None:
    np.save("x.npy", np.array([[3, 4]]))
    assert load_samples("x.npy").dtype == torch.int64


def test_colour_images_become_numbers_from_0_to_1_in_the_order_of_their_names() -> None:
    Path("images").mkdir()
    Image.new("RGB", (5, 4), (255, 0, 51)).save("images/b.PNG")
    Image.new("L", (5, 4), 102).save("images/a.png")
    Path("images/notes.txt").write_text("no image")
    found = load_samples("images")
    assert found.shape == (2, 3, 4, 5)
    assert found[:, :, 0, 0].tolist() == [pytest.approx([0.4] * 3), pytest.approx([1.0, 0.0, 0.2])]


def test_grey_images_have_one_channel() -> None:
    Path("images").mkdir()
    Image.new("L", (5, 4), 51).save("images/a.png")
    Image.new("L", (5, 4), 0).save("images/b.jpeg")
    found = load_samples("images")
    assert found.shape == (2, 1, 4, 5)
    assert found[0].unique().tolist() == pytest.approx([0.2])
    assert load_samples("images", 1).shape == (1, 1, 4, 5)


# torch says that it looks through sparse tensors, which takes time.
@pytest.mark.filterwarnings("ignore:Validating sparse tensor")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none.npy", "got no file none.npy"),
        ("none", r"must be a .safetensors, .npy or .pt file, .* got none: correct the path"),
        ("x.csv", r"got x.csv: convert it"),
        ("x.safetensors:c", "got 'c', which x.safetensors does not hold: it has a, b"),
        ("dict.pt", "must be one tensor, got dict in dict.pt"),
        ("sparse.pt", "must be a dense tensor"),
        ("objects.npy", "must hold an array of numbers"),
        ("words.npy", "must hold an array of numbers"),
        ("damaged.npy", "must hold an array of numbers"),
        ("none.npy:a", "correct the path"),
        ("number.npy", r"along the first axis, got shape \(\)"),
        ("nothing.npy", r"along the first axis, got shape \(0, 3\)"),
        ("empty", "must hold PNG or JPEG images, got none in empty"),
        ("sizes", r"must be of one size, got 5 x 4 in sizes/a.png and 4 x 4 in sizes/b.png"),
        ("broken", "must be a whole PNG or JPEG file, got broken/a.png"),
    ],
)
def test_samples_that_cannot_be_read_are_one_line(name: str, message: str) -> None:
    Path("x.csv").write_text("1,2\n")
    torch.save({"x": X}, "dict.pt")
    torch.save(X.to_sparse(), "sparse.pt")
    np.save("objects.npy", np.array([Harmful()]), allow_pickle=True)
    np.save("words.npy", np.array(["a"]))
    Path("damaged.npy").write_bytes(b"\x93NUMPY")
    np.save("number.npy", np.float64(3))
    np.save("nothing.npy", np.zeros((0, 3)))
    for folder in ("empty", "sizes", "broken"):
        Path(folder).mkdir()
    Image.new("L", (5, 4)).save("sizes/a.png")
    Image.new("L", (4, 4)).save("sizes/b.png")
    Path("broken/a.png").write_bytes(Path("sizes/a.png").read_bytes()[:40])
    with pytest.raises(PipelineError, match=message) as caught:
        load_samples(name)
    assert "\n" not in str(caught.value)
    assert not Path("ran").exists()
