"""What a stored model says of itself: its signature, its input example and its requirements."""

from pathlib import Path

import numpy as np
from mlflow.artifacts import download_artifacts
from mlflow.models import Model
from numpy.typing import NDArray
from yaml import YAMLError

from pipeline.errors import PipelineError
from pipeline.files import temporary_folder
from pipeline.tracking.store import REFUSALS, one_line

REQUIREMENTS = "requirements.txt"
# What reading a file that is not an MLmodel can raise.
_MALFORMED = (
    YAMLError, AttributeError, LookupError, TypeError, ValueError, RecursionError, OverflowError,
)  # fmt: skip
Shape = tuple[int, ...]


def signature_of(address: str) -> tuple[Shape, Shape]:
    """The shapes that a model takes and gives, as its MLmodel says; -1 where any size will do.

    Args:
        address: as `log_model` returned it, or of a registered model.

    Raises:
        PipelineError: there is no such model, or it has no signature of one array in and one out.
    """
    try:
        with temporary_folder() as folder:
            signature = Model.load(download_artifacts(address, dst_path=str(folder))).signature
        [inputs], [outputs] = signature.inputs.inputs, signature.outputs.inputs
        return tuple(map(int, inputs.shape)), tuple(map(int, outputs.shape))
    except (*REFUSALS, *_MALFORMED) as error:
        raise PipelineError(
            "a model must have a signature of numpy arrays for what goes in and what comes out, "
            f"got none at {address} ({one_line(error)}): log it with an example"
        ) from error


def example_of(address: str) -> NDArray[np.number] | None:
    """The input example of a model, as it was logged with it; None without one.

    Args:
        address: as `log_model` returned it, or of a registered model.
    """
    try:
        with temporary_folder() as folder:
            copied = download_artifacts(address, dst_path=str(folder))
            example = Model.load(copied).load_input_example(copied)
    except (*REFUSALS, *_MALFORMED):
        return None
    return example if isinstance(example, np.ndarray) else None


def requirements_of(address: str, folder: Path) -> Path:
    """The path of the list of packages that a model says it needs, as pip takes it.

    Args:
        address: as `log_model` returned it, or of a registered model.
        folder: where a copy of the model goes.

    Raises:
        PipelineError: there is no such model, or it has no such list.
    """
    try:
        path = Path(download_artifacts(address, dst_path=str(folder / "model"))) / REQUIREMENTS
        path.stat()
    except REFUSALS as error:
        raise PipelineError(
            f"a model must list what it needs in {REQUIREMENTS}, got {address} "
            f"({one_line(error)}): log it again"
        ) from error
    return path
