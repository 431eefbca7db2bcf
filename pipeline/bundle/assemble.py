"""Makes a self-contained bundle from a model's files and records."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxtyping import Float32
from torch import Tensor

import pipeline
from pipeline.bundle import layout
from pipeline.bundle.checks import check_files, takes
from pipeline.bundle.codec import encode
from pipeline.bundle.contents import Contents, OnnxRecord, Summary
from pipeline.bundle.convert import OPSET, to_onnx
from pipeline.bundle.files import write_records, write_text
from pipeline.bundle.pages import predict_script, readme
from pipeline.bundle.rebuild import Rebuilt
from pipeline.bundle.semantics import check_semantics

# Everything else in MLmodel belongs to the store that the model was in.
_KEPT = (
    "flavors", "mlflow_version", "model_id", "model_size_bytes", "model_uuid", "run_id",
    "saved_input_example_info", "signature", "utc_time_created",
)  # fmt: skip


def assemble(
    folder: Path,
    contents: Contents,
    *,
    rebuilt: Rebuilt,
    mlmodel: Mapping[str, Any],
    images: Float32[Tensor, "images ..."],
    compared_on: str,
) -> Summary:
    """Complete a bundle whose folder already holds the model's files and the run's artifacts.

    Args:
        folder: with the files of an MLflow model, written for this, and the artifacts of the run in
            their places.
        contents: what is known of them.
        rebuilt: the network.
        mlmodel: what the model's MLmodel says.
        images: on which ONNX and PyTorch are compared.
        compared_on: which images these are, for people.

    Returns:
        What the bundle says of itself.

    Raises:
        PipelineError: the model was not logged by this pipeline, or ONNX differs from it.
    """
    write_text(folder / layout.MLMODEL, _standing_alone(mlmodel))
    left_out = _leave_out(folder)
    onnx = to_onnx(rebuilt.network, images)
    (folder / layout.ONNX).write_bytes(onnx.content)
    record = OnnxRecord(
        opset=OPSET,
        images=len(images),
        compared_on=compared_on,
        largest_difference=onnx.largest_difference,
    )
    summary = _summary(
        contents, mlmodel, rebuilt=rebuilt, onnx=record, left_out=left_out, folder=folder
    )
    write_records(folder, contents, summary)
    write_text(folder / layout.PREDICT, predict_script())
    write_text(folder / layout.README, readme(summary))
    names = sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )
    # The checks of import: what it would refuse is never written.
    layout.check_list(names)
    check_files(folder, names)
    check_semantics(contents, summary)
    return summary


def _standing_alone(mlmodel: Mapping[str, object]) -> str:
    """What the file MLmodel says, without what ties it to a place; JSON, which is YAML as well."""
    return encode({key: mlmodel[key] for key in _KEPT if key in mlmodel})


def _leave_out(folder: Path) -> tuple[str, ...]:
    """Remove the artifacts that bundles do not hold, such as pickles, and return their names."""
    artifacts = folder / layout.ARTIFACTS
    removed = []
    for path in sorted(artifacts.rglob("*")):
        name = path.relative_to(artifacts).as_posix()
        if path.is_file() and not takes(name):
            path.unlink()
            removed.append(name)
    return tuple(removed)


def _summary(
    contents: Contents,
    mlmodel: Mapping[str, Any],
    *,
    rebuilt: Rebuilt,
    onnx: OnnxRecord,
    left_out: tuple[str, ...],
    folder: Path,
) -> Summary:
    run, version = contents.run, contents.version
    return Summary(
        format=layout.FORMAT,
        made_by=f"why-zero {pipeline.__version__}",
        model=f"models:/{version.name}/{version.version}",
        experiment=contents.experiment.name,
        run=run.id,
        run_name=run.name,
        dataset=run.parameters.get("dataset", "unknown"),
        dataset_digest=run.parameters.get("dataset_digest", "unknown"),
        commit=run.tags.get("mlflow.source.git.commit"),
        is_dirty=run.tags.get("dirty") == "true",
        python=mlmodel["flavors"]["python_function"]["python_version"],
        requirements=tuple((folder / layout.REQUIREMENTS).read_text("utf-8").split()),
        input_shape=rebuilt.inputs,
        output_shape=rebuilt.outputs,
        classes=_classes(contents, rebuilt.outputs[-1]),
        onnx=onnx,
        left_out=left_out,
    )


def _classes(contents: Contents, count: int) -> tuple[str, ...]:
    """The class names, from the data set's class counts; otherwise numbers."""
    for dataset in contents.run.datasets:
        names = json.loads(dataset.profile or "{}").get("train_class_counts", {})
        if len(names) == count:
            return tuple(names)
    return tuple(str(number) for number in range(count))
