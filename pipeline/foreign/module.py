"""A network from a Python file, with weights from another file."""

import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

from torch import Tensor, nn

from pipeline.errors import PipelineError
from pipeline.foreign.tensors import tensors_in
from why_zero.errors import in_one_line


def load_module(address: str, weights: Path | None = None) -> nn.Module:
    """The network that FILE.py:NAME gives, with these weights.

    The file is run, as Python would run it. NAME is a class or a function, which is called without
    arguments, or a module that is made already.

    Raises:
        PipelineError: there is no such file or name, it does not run or gives no network, or the
            weights are not the network's.
    """
    path, _, name = address.rpartition(":")
    if not path.endswith(".py") or not name.isidentifier():
        raise PipelineError(
            f"a model must be FILE.py:CLASS or FILE.py:FUNCTION, got {address!r}: name the class "
            "in the file"
        )
    code = _run(Path(path))
    if not hasattr(code, name):
        there = ", ".join(_candidates(code)) or "no class of a network"
        raise PipelineError(f"a model must be in its file, got no {name} in {path}: it has {there}")
    module = _made(getattr(code, name), address)
    if weights is not None:
        _load(module, weights)
    return module


def _run(path: Path) -> ModuleType:
    """The module that a file makes; other files of its folder can be imported in it."""
    if not path.is_file():
        raise PipelineError(
            f"a model's file must be there, got no file {path}: correct the path, or change to its "
            "folder"
        )
    # Not a name that another module has: the file may be called torch.py.
    spec = importlib.util.spec_from_file_location(f"foreign.{path.stem}", path.resolve())
    if spec is None or spec.loader is None:
        raise PipelineError(f"a model's file must be Python, got {path}: name a .py file")
    code = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = code  # dataclasses look their module up there
    sys.path.insert(0, str(path.resolve().parent))
    try:
        spec.loader.exec_module(code)
    except (Exception, SystemExit) as error:  # whatever somebody's file raises
        raise PipelineError(
            f"a model's file must run, got {in_one_line(error)} in {path}: run python {path} to "
            "see where"
        ) from error
    return code


def _candidates(code: ModuleType) -> list[str]:
    """The networks of the file itself."""
    return [
        name
        for name, value in vars(code).items()
        if isinstance(value, nn.Module)
        or (
            isinstance(value, type)
            and issubclass(value, nn.Module)
            and value.__module__ == code.__name__
        )
    ]


def _made(found: object, address: str) -> nn.Module:
    if not isinstance(found, nn.Module) and callable(found):
        try:
            found = found()
        except (Exception, SystemExit) as error:  # whatever somebody's class raises
            raise PipelineError(
                f"{address} must be one that can be called without arguments, got "
                f"{in_one_line(error)}: write a function that gives the network, and name that"
            ) from error
    if not isinstance(found, nn.Module):
        raise PipelineError(
            f"{address} must give a torch.nn.Module, got {type(found).__name__}: name the class of "
            "the network, or a function that returns one"
        )
    return found


def _load(module: nn.Module, path: Path) -> None:
    weights = tensors_in(path)
    if not isinstance(weights, Mapping) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in weights.items()
    ):
        raise PipelineError(
            f"weights must be a state dict, tensors by name, got something else in {path}: save "
            "model.state_dict()"
        )
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        raise PipelineError(
            f"weights must fit {type(module).__name__}, got {in_one_line(error)}: give the state "
            "dict of this class"
        ) from error
