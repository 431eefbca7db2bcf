"""A network from somebody's file, with weights; every mistake is one line."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from pipeline.errors import PipelineError
from pipeline.foreign import load_module


class Harmful:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (Path("ran"),))


@pytest.mark.parametrize(("name", "out"), [("Net", None), ("made", (4, 2)), ("ready", (4, 3))])
def test_a_class_a_function_and_a_module_that_is_made_give_the_network(
    folder: Path, name: str, out: tuple[int, int] | None
) -> None:
    module = load_module(f"my_model.py:{name}")
    if out:
        assert isinstance(module, nn.Linear)
        assert (module.in_features, module.out_features) == out
    else:
        # `sizes`, beside the file, says 8.
        assert module.get_submodule("first").weight.shape == (8, 4)
    assert load_module(f"{folder}/my_model.py:{name}")


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".safetensors"])
def test_weights_are_those_of_the_file(folder: Path, suffix: str) -> None:
    weights = {"weight": torch.full((2, 4), 3.0), "bias": torch.tensor([1.0, 2.0])}
    path = folder / f"state{suffix}"
    if suffix == ".safetensors":
        save_file(weights, path)
    else:
        torch.save(weights, path)
    loaded = load_module("my_model.py:made", path).state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in weights.items())


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("my_model.py", "must be FILE.py:CLASS or FILE.py:FUNCTION, got 'my_model.py'"),
        ("my_model.txt:Net", "must be FILE.py:CLASS or FILE.py:FUNCTION"),
        ("none.py:Net", "must be there, got no file none.py"),
        ("my_model.py:Ne", "got no Ne in my_model.py: it has Net, Sized, ready"),
        ("my_model.py:Sized", "without arguments, got TypeError: .* argument: 'width'"),
        ("my_model.py:leaving", "without arguments, got SystemExit: 3"),
        ("my_model.py:text", "must give a torch.nn.Module, got str"),
        ("my_model.py:WIDTH", "must give a torch.nn.Module, got int"),
        ("broken.py:Net", r"must run, got NameError: name 'nothing' is not defined in broken.py"),
        ("wrong.py:Net", "must run, got SyntaxError: "),
        ("leaving.py:Net", "must run, got SystemExit: 1 in leaving.py"),
    ],
)
def test_a_model_that_cannot_be_had_is_one_line(folder: Path, address: str, message: str) -> None:
    (folder / "broken.py").write_text("nothing\n")
    (folder / "wrong.py").write_text("def (\n")
    (folder / "leaving.py").write_text("raise SystemExit(1)\n")
    with pytest.raises(PipelineError, match=message) as caught:
        load_module(address)
    assert "\n" not in str(caught.value)


def test_weights_of_another_network_are_one_line(folder: Path) -> None:
    torch.save(nn.Linear(4, 2).state_dict(), "other.pt")
    with pytest.raises(PipelineError, match=r"weights must fit Net, got .* Missing key") as caught:
        load_module("my_model.py:Net", folder / "other.pt")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("harmful.pt", "must hold tensors alone"),
        ("damaged.pt", r"must (hold tensors alone|be whole)"),
        ("empty.pt", r"must (hold tensors alone|be whole)"),
        ("damaged.safetensors", "must be whole"),
        ("tensor.pt", "must be a state dict"),
        ("numbered.pt", "must be a state dict"),
        ("none.pt", "got no file none.pt"),
        ("my_model.py", "must be in a .safetensors, .pt or .pth file"),
    ],
)
def test_weights_that_cannot_be_read_are_one_line_and_run_nothing(
    folder: Path, name: str, message: str
) -> None:
    torch.save({"weight": Harmful()}, "harmful.pt")
    (folder / "damaged.pt").write_bytes(b"PK\x03\x04 and no more")
    (folder / "empty.pt").write_bytes(b"")
    (folder / "damaged.safetensors").write_bytes(b"123")
    torch.save(torch.ones(2), "tensor.pt")
    torch.save({0: torch.ones(2)}, "numbered.pt")
    with pytest.raises(PipelineError, match=message) as caught:
        load_module("my_model.py:made", Path(name))
    assert "\n" not in str(caught.value)
    assert not Path("ran").exists()
