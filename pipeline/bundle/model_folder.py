"""The files of an MLflow model that say how it is loaded, and what they may say.

What they name would be imported, installed or put on Python's path: so only what this package's
own models say is taken. It must not import MLflow.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.bundle import layout
from pipeline.bundle.codec import encode, strict_json

# Whatever else these named would be installed by whoever builds the model's environment.
PACKAGES = ("torch", "mlflow", "numpy")

_VERSION = r"[0-9]+(\.[0-9A-Za-z]+)*(\+[0-9A-Za-z.]+)?"
_PIN = rf"({'|'.join(PACKAGES)})=={_VERSION}"
TEXTS = {
    layout.REQUIREMENTS: rf"{_PIN}(\n{_PIN})*\n?",
    layout.CONDA: rf"channels:\n- conda-forge\ndependencies:\n- python={_VERSION}\n"
    rf"- pip(<={_VERSION})?\n- pip:\n(  - {_PIN}\n)+name: mlflow-env\n",
    layout.PYTHON: rf"python: {_VERSION}\nbuild_dependencies:\n"
    rf"(- (pip|setuptools|wheel)(=={_VERSION})?\n)+dependencies:\n- -r requirements\.txt\n",
}

_FLAVORS = {
    "python_function": {
        "config": {"device": None},
        "data": "data",
        "env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
        "loader_module": "mlflow.pytorch",
        "pickle_module_name": "mlflow.pytorch.pickle_module",
    },
    "pytorch": {"code": None, "model_data": "data"},
}
_VERSIONS = {"python_function": "python_version", "pytorch": "pytorch_version"}
_EXAMPLE = {
    "artifact_path": "input_example.json",
    "serving_input_path": "serving_input_example.json",
    "type": "ndarray",
}
# What else MLmodel says is of the store that the model was in.
_KEPT = (
    "flavors", "mlflow_version", "model_id", "model_size_bytes", "model_uuid", "run_id",
    "saved_input_example_info", "signature", "utc_time_created",
)  # fmt: skip
_TEXT = re.compile(r"[\w.:+ -]{1,100}", re.ASCII)


def standing_alone(mlmodel: Mapping[str, object]) -> str:
    """What the file MLmodel says, without what ties it to a place; JSON, which is YAML as well."""
    return encode({key: mlmodel[key] for key in _KEPT if key in mlmodel})


def shapes(mlmodel: Mapping[str, Any]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The shapes of input and output that the signature gives, -1 for the batch.

    Raises:
        ValueError: the signature is not of one float32 tensor in and one out.
    """
    signature = mlmodel.get("signature")
    if not isinstance(signature, dict) or signature.keys() != {"inputs", "outputs", "params"}:
        raise ValueError("no signature of inputs and outputs")
    return _shape(signature["inputs"]), _shape(signature["outputs"])


def check_mlmodel(path: Path) -> None:
    """Return if loading the model would import MLflow's own loader, and read its own files only.

    Raises:
        ValueError: it names code, files or settings that no model of ours does.
    """
    read = strict_json(path.read_bytes())
    if not isinstance(read, dict) or read.keys() != set(_KEPT):
        raise ValueError(f"other keys than {', '.join(_KEPT)}")
    flavors = read["flavors"]
    if not isinstance(flavors, dict) or flavors.keys() != _FLAVORS.keys():
        raise ValueError("other flavors than pytorch and python_function")
    for flavor, expected in _FLAVORS.items():
        found = dict(flavors[flavor]) if isinstance(flavors[flavor], dict) else {}
        _check_text(found.pop(_VERSIONS[flavor], None))
        if found != expected:
            raise ValueError(f"another flavor {flavor} than MLflow writes for a pt2 model")
    for key in ("mlflow_version", "model_id", "model_uuid", "run_id", "utc_time_created"):
        _check_text(read[key])
    if type(read["model_size_bytes"]) is not int or read["saved_input_example_info"] != _EXAMPLE:
        raise ValueError("another size or input example than MLflow writes")
    if read["signature"].get("params") is not None:
        raise ValueError("a signature with parameters")
    shapes(read)


def _check_text(value: object) -> None:
    if not isinstance(value, str) or not _TEXT.fullmatch(value):
        raise ValueError("an id, a version or a time that is none")


def _shape(text: object) -> tuple[int, ...]:
    try:
        [tensor] = strict_json(text if isinstance(text, str) else "")
        dtype, shape = tensor["tensor-spec"]["dtype"], tensor["tensor-spec"]["shape"]
    except (ValueError, TypeError, KeyError):
        raise ValueError("a signature that is not of one tensor in and one out") from None
    if dtype != "float32" or not isinstance(shape, list) or len(shape) < 2 or shape[0] != -1:
        raise ValueError("a signature that is not of batches of float32")
    if not all(type(size) is int and size > 0 for size in shape[1:]):
        raise ValueError("a signature with a shape that is none")
    return tuple(shape)
