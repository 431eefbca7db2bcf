"""A logged model as a stranger gets it: its graph, its signature, its example, its requirements.

It must not know how the network was trained, nor what its answers ought to be.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
from mlflow.artifacts import download_artifacts
from mlflow.environment_variables import MLFLOW_ALLOW_PICKLE_DESERIALIZATION
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from mlflow.pyfunc import PyFuncModel
from numpy.typing import NDArray
from torch import nn

from pipeline.errors import PipelineError
from pipeline.tracking.models import load_model
from pipeline.tracking.store import REFUSALS, one_line

REQUIREMENTS = "requirements.txt"
# Else MLflow takes a GPU where there is one, and the graph stays on the CPU.
CPU = {"device": "cpu"}
Shape = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A model that `open_model` has loaded.

    Attributes:
        network: its graph, in evaluation mode on the CPU.
        inputs: the shape that its signature asks for; -1 for the batch, which may have any size.
        outputs: the shape that its signature promises.
        example: the input that was stored with it; None where there is none.
        generic: its `python_function` flavour, which a server asks.
    """

    network: nn.Module
    inputs: Shape
    outputs: Shape
    example: NDArray[np.float32] | None
    generic: PyFuncModel

    def predict(self, batch: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """What the model answers as a server asks it; None where its signature refuses the batch.

        Args:
            batch: as `inputs` says.

        Raises:
            PipelineError: the signature admits the batch, and the graph fails on it.
        """
        try:
            answer: NDArray[np.float32] = self.generic.predict(batch)
        except MlflowException:
            return None
        except (AssertionError, RuntimeError) as error:  # a guard of the graph, or a product
            raise PipelineError(
                f"a graph must answer what its signature {self.inputs} admits, got "
                f"{one_line(error)!r} for a batch of shape {batch.shape}: log the model again"
            ) from error
        return answer


def open_model(address: str) -> LoadedModel:
    """Load all of a model that was logged with numpy examples, never a pickle.

    From here on MLflow refuses pickles in this process.

    Args:
        address: as `log_model` returned it, or of a registered model.

    Raises:
        PipelineError: there is no such model, it could run foreign code, or it does not say what
            goes in and what comes out.
    """
    MLFLOW_ALLOW_PICKLE_DESERIALIZATION.set(False)
    try:
        # Once: what is elsewhere is copied to this machine by it.
        folder = download_artifacts(address)
        stored = Model.load(folder)
        network = load_model(folder)
        generic = mlflow.pyfunc.load_model(folder, model_config=CPU)
        example: Any = stored.load_input_example()
    except (*REFUSALS, ImportError) as error:
        raise PipelineError(
            f"a model must be there, whole and free of pickles, got {address} "
            f"({one_line(error)}): log it again"
        ) from error
    signature = stored.signature
    schemas = (signature.inputs, signature.outputs) if signature else (None, None)
    shapes = [schema.inputs[0].shape for schema in schemas if schema and schema.is_tensor_spec()]
    if len(shapes) != 2:
        raise PipelineError(
            "a model must have a signature of numpy arrays for what goes in and what comes out, "
            f"got {signature} at {address}: log it with an example"
        )
    return LoadedModel(
        network=network,
        inputs=shapes[0],
        outputs=shapes[1],
        example=example if isinstance(example, np.ndarray) else None,
        generic=generic,
    )


def requirements_of(address: str) -> Path:
    """The local path of the list of packages that a model says it needs, as pip takes it.

    Raises:
        PipelineError: there is no such model, or it has no such list.
    """
    try:
        path = Path(download_artifacts(address)) / REQUIREMENTS
        path.stat()
    except REFUSALS as error:
        raise PipelineError(
            f"a model must list what it needs in {REQUIREMENTS}, got {address} "
            f"({one_line(error)}): log it again"
        ) from error
    return path
