"""Logs a network as a model that can be loaded without running foreign code."""

import copy
import io
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import mlflow.pytorch
import numpy as np
import torch
from mlflow.entities import LoggedModel
from mlflow.models import Model, infer_signature
from mlflow.models.model import MLMODEL_FILE_NAME
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.export import ExportedProgram

from pipeline.files import prove_room, temporary_folder
from pipeline.tracking import operations
from pipeline.tracking.runs import Run

STATE_DICT = "state_dict.safetensors"
_GRAPH = Path("data", "model.pt2")
_GRAPH_BYTES = 4 << 20
_REQUIREMENTS = ("torch", "mlflow", "numpy")


def log_model(
    run: Run,
    network: nn.Module,
    *,
    example: NDArray[np.float32],
    metrics: Mapping[str, float],
    step: int,
    at_ms: int,
    name: str = "model",
    bounds: tuple[float, float] = (0.0, 1.0),
    saved: "SavedModels | None" = None,
    is_read_back: bool = False,
) -> str | None:
    """Log the network in evaluation mode on the CPU, and return the model's address.

    Where a journal keeps it until it can be sent, there is no address yet.

    It is written as a graph (pt2) that takes batches of any size. The network given is not
    changed. A model that a killed process had begun to log for this run is completed: every part
    can be written again without a double, and that it is ready is written last. One that is ready
    stays as it is, unless its files were lost.

    The graph refuses inputs that are not numbers within `bounds`: a server would answer NaN with
    NaN, and pixels of 0 … 255 with confident nonsense.

    Args:
        run: an open run.
        network: takes one tensor, gives one tensor, the batch along the first axis of both.
        example: an input, shape (batch, ...), with a batch of at least 2.
        metrics: the run's at that step, which become the model's; what is not finite is left out.
        step: the epoch whose weights these are.
        at_ms: the time of these points in the run; with another the run would get second points.
        name: of the model; none of `/ : . % " '`.
        bounds: the least and the greatest value of an input.
        saved: what other networks have been saved as; None for none.
        is_read_back: take the metrics from the run where it has them.

    Raises:
        ValueError: the example is a batch of 1, which would become the only size it takes.
    """
    _check_batch(example)
    with run.store.writing(), temporary_folder() as folder:
        # `mlflow.pytorch.log_model` logs to the active run and has no other way to say which.
        path, saved = folder / "model", saved or SavedModels()
        saved.save(network, path, example=example, of=Model(), bounds=bounds)
        return run.store.do(
            operations.log_model,
            run.id,
            files=path,
            experiment=run.experiment_id,
            name=name,
            metrics={key: value for key, value in metrics.items() if math.isfinite(value)},
            step=step,
            at_ms=at_ms,
            is_read_back=is_read_back,
        )


def save_weights(network: nn.Module, folder: Path) -> None:
    """Write `state_dict.safetensors`, from which the network can be rebuilt, into a folder.

    Raises:
        PipelineError: there is no room.
    """
    state = network.state_dict()
    prove_room(folder, _room(state))  # safetensors removes what it could not finish
    weights = {key: value.cpu().contiguous() for key, value in state.items()}
    save_file(weights, folder / STATE_DICT)


def save_network(
    network: nn.Module,
    path: Path,
    *,
    example: NDArray[np.float32],
    of: Model,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> None:
    """Write the files of an MLflow model, once; otherwise as `SavedModels.save`."""
    SavedModels().save(network, path, example=example, of=of, bounds=bounds)


class SavedModels:
    """Writes MLflow models, tracing one network of each architecture.

    The graphs of equal architectures differ in their weights alone: the next network gets a copy of
    the files of the first, with its own weights and ids, in a twentieth of the time.
    """

    def __init__(self) -> None:
        """Nothing is saved yet."""
        self._known: dict[str, _Saved] = {}

    def save(
        self,
        network: nn.Module,
        path: Path,
        *,
        example: NDArray[np.float32],
        of: Model,
        bounds: tuple[float, float] = (0.0, 1.0),
    ) -> None:
        """Write the files of an MLflow model: a graph (pt2) of the network, as `log_model` says.

        Args:
            network: as in `log_model`; it is left as it is.
            path: the folder to make.
            example: as in `log_model`.
            of: the ids and places that MLmodel records.
            bounds: as in `log_model`.

        Raises:
            ValueError: the example is a batch of 1.
            PipelineError: there is no room.
        """
        _check_batch(example)
        prove_room(path.parent, _room(network.state_dict()))
        still = _still(network)
        # Of torch's own layers, whose names say what they compute.
        alike = repr((str(still), bounds, example.shape, example.tobytes()))
        if (known := self._known.get(alike)) and isinstance(network, nn.Sequential):
            weights = {**dict(still.named_parameters()), **dict(still.named_buffers())}
            known.write(path, weights=weights, of=of)
            return
        with torch.no_grad():
            output = still(torch.from_numpy(example)).numpy()
        _refuse_outside(still, bounds)
        with _graphs_from_memory():
            mlflow.pytorch.save_model(
                still,
                path,
                mlflow_model=of,
                serialization_format="pt2",
                input_example=example,
                signature=infer_signature(example, output),
                # Named, or MLflow would load the model in a separate process to infer them (5 s).
                pip_requirements=[f"{package}=={version(package)}" for package in _REQUIREMENTS],
            )
        self._known[alike] = _Saved(path)

    def trace(self, network: nn.Module, *, example: NDArray[np.float32]) -> None:
        """Trace a network ahead, in a moment when nobody waits: it takes two seconds.

        Others of its architecture are saved fast then; arguments as of `save`.
        """
        with temporary_folder() as folder:
            self.save(network, folder / "model", example=example, of=Model())


class _Saved:
    """A model's files in memory: its graph, and the others as they are."""

    def __init__(self, path: Path) -> None:
        """Read them from the model's folder."""
        self._model = Model.load(path)
        self._graph = torch.export.load(path / _GRAPH)
        self._files = {
            file.relative_to(path): file.read_bytes()
            for file in path.rglob("*")
            if file.is_file() and file not in {path / _GRAPH, path / MLMODEL_FILE_NAME}
        }

    def write(self, path: Path, *, weights: Mapping[str, Tensor], of: Model) -> None:
        """Write them to a new folder, with other weights and ids."""
        for name, content in self._files.items():
            place = path / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        self._graph.state_dict.update(weights)
        (path / _GRAPH).parent.mkdir(parents=True, exist_ok=True)
        with _graphs_from_memory():
            torch.export.save(self._graph, path / _GRAPH)
        model = copy.copy(self._model)
        model.artifact_path, model.run_id = of.artifact_path, of.run_id
        model.model_id, model.model_uuid = of.model_id, of.model_uuid
        model.utc_time_created = of.utc_time_created
        model.save(path / MLMODEL_FILE_NAME)


@contextmanager
def _graphs_from_memory() -> Iterator[None]:
    """While the block runs, graphs are written by Python: torch's writer dies of a full disk."""
    save = torch.export.save

    def write(graph: ExportedProgram, path: str | Path) -> None:
        file = io.BytesIO()
        save(graph, file)
        Path(path).write_bytes(file.getbuffer())

    torch.export.save = write  # type: ignore[assignment]
    try:
        yield
    finally:
        torch.export.save = save


def _still(network: nn.Module) -> nn.Module:
    """The network in evaluation mode on the CPU, a copy: its graph stays there as it is.

    In training mode the masks of this very export would be baked in. Dropout, which then does
    nothing, is left out, so that drop rates make no different graphs.
    """
    still = copy.deepcopy(network).cpu().eval()
    for name, module in list(still.named_modules()):
        if isinstance(module, nn.Dropout):
            above, _, own = name.rpartition(".")
            if isinstance(holder := still.get_submodule(above), nn.Sequential):
                delattr(holder, own)
            else:
                still.set_submodule(name, nn.Identity())
    return still


def stored_as(logged: LoggedModel, run_id: str) -> Model:
    """The ids and places in the MLmodel of a logged model."""
    return Model(
        artifact_path=logged.artifact_location,
        model_uuid=logged.model_id,
        run_id=run_id,
        model_id=logged.model_id,
    )


def _room(state: Mapping[str, Tensor]) -> int:
    """More bytes than the graph of a network takes, with its weights.

    On a full disk torch's writer of graphs ends the process.
    """
    return 2 * sum(value.nbytes for value in state.values()) + _GRAPH_BYTES


def _check_batch(example: NDArray[np.float32]) -> None:
    if len(example) < 2:
        raise ValueError(f"example must be a batch of at least 2, got {len(example)}")


def _refuse_outside(network: nn.Module, bounds: tuple[float, float]) -> None:
    """Make the network and its graph refuse inputs that are not numbers within these bounds."""
    least, greatest = bounds
    message = f"every input must be a number in [{least:g}, {greatest:g}]"

    def check(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        is_within = (inputs[0] >= least) & (inputs[0] <= greatest)  # false for NaN
        # The only assertion on values that keeps its message in a graph; ONNX leaves it out.
        torch._assert_async(is_within.all(), message)  # noqa: SLF001

    # A hook and no module around the network, so that its weights keep their names.
    network.register_forward_pre_hook(check)
