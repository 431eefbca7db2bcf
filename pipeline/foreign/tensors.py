"""Tensors from a safetensors or a .pt file; nothing in the file is run."""

import pickle
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from pipeline.errors import PipelineError
from why_zero.errors import in_one_line

PICKLED = (".pt", ".pth")


def tensors_in(path: Path) -> object:
    """What the file holds: tensors by name, or of a .pt file what was saved.

    Raises:
        PipelineError: there is no such file, it is of another kind, damaged, or would run code.
    """
    require_file(path)
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            raise PipelineError(
                f"a safetensors file must be whole, got {path} ({in_one_line(error)}): save it "
                "again"
            ) from error
    if path.suffix in PICKLED:
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            raise PipelineError(
                f"a {path.suffix} file must hold tensors alone, got {path}, which is damaged or "
                "holds other objects, and reading those runs code: save model.state_dict() or a "
                "tensor"
            ) from error
        except (OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
            raise PipelineError(
                f"a {path.suffix} file must be whole, got {path} ({in_one_line(error)}): save it "
                "again"
            ) from error
    raise PipelineError(
        f"tensors must be in a .safetensors, {' or '.join(PICKLED)} file, got {path}: save them "
        "as one"
    )


def require_file(path: Path) -> None:
    """Nothing, where the file is there.

    Raises:
        PipelineError: it is not.
    """
    if not path.is_file():
        raise PipelineError(f"a file must be there, got no file {path}: correct the path")
