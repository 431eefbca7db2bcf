"""A network as ONNX, compared with PyTorch on every image it is given."""

import importlib
import importlib.util
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.errors import PipelineError
from pipeline.training.batches import EVALUATION_BATCH

OPSET = 20
TOLERANCE = 1e-4
_EXTRA = ("onnx", "onnxruntime", "onnxscript")


@dataclass(frozen=True, kw_only=True)
class OnnxModel:
    """A network as ONNX.

    Attributes:
        content: the bytes of the file.
        largest_difference: from PyTorch's logits, absolute, over all images compared.
    """

    content: bytes
    largest_difference: float


def check_extra() -> None:
    """Return if the packages that write and run ONNX are installed.

    Raises:
        PipelineError: one is not.
    """
    missing = [name for name in _EXTRA if importlib.util.find_spec(name) is None]
    if missing:
        raise PipelineError(
            f"export needs the packages that write and run ONNX, got no {', '.join(missing)}: "
            'install them with pip install ".[onnx]"'
        )


def to_onnx(network: nn.Module, images: Float32[Tensor, "images ..."]) -> OnnxModel:
    """The network as ONNX that takes batches of any size, the same as PyTorch within `TOLERANCE`.

    Args:
        network: in evaluation mode, on the CPU.
        images: inputs to compare on; at least 2.

    Raises:
        PipelineError: the extra is not installed, or the logits differ by more.
    """
    check_extra()
    content = _converted(network, images[:2])
    parts = images.split(EVALUATION_BATCH)
    with torch.no_grad():
        expected = np.concatenate([network(part).numpy() for part in parts])
    found = _logits(content, parts)
    difference = float(np.abs(found - expected).max())
    if not difference <= TOLERANCE:
        raise PipelineError(
            f"ONNX must give PyTorch's logits within {TOLERANCE:g}, got a difference of "
            f"{difference:.2g} on {len(images)} images: report it with the versions of onnxruntime "
            "and torch"
        )
    return OnnxModel(content=content, largest_difference=rounded_up(difference))


def rounded_up(value: float) -> float:
    """The value with two digits, never less than it is."""
    if value == 0:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{math.ceil(value / unit) * unit:.1e}")


def _converted(network: nn.Module, example: Tensor) -> bytes:
    onnx = importlib.import_module("onnx")
    program: Any = torch.onnx.export(
        network,
        (example,),
        dynamo=True,
        verbose=False,
        opset_version=OPSET,
        input_names=["images"],
        output_names=["logits"],
        dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
    )
    model = program.model_proto
    _forget_where_it_was_made(model)
    onnx.checker.check_model(model, full_check=True)
    [written] = [item.version for item in model.opset_import if item.domain == ""]
    if written != OPSET:
        raise PipelineError(
            f"ONNX must be of opset {OPSET}, got {written}: install the tested versions"
        )
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _forget_where_it_was_made(model: Any) -> None:  # noqa: ANN401 - onnx may not be there
    """Remove stack traces, which name folders of this machine, and other notes of the exporter."""
    graph = model.graph
    for noted in (model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info):
        del noted.metadata_props[:]
        noted.doc_string = ""
    for tensor in graph.initializer:
        del tensor.metadata_props[:]


def _logits(content: bytes, parts: Sequence[Tensor]) -> NDArray[np.float32]:
    onnxruntime = importlib.import_module("onnxruntime")
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(["logits"], {"images": x.numpy()})[0] for x in parts])
