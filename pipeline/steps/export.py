"""The step `export`: a registered model, with everything recorded about it, as a folder or zip."""

import torch
from jaxtyping import Float32
from torch import Tensor

from pipeline.bundle import Contents, Rebuilt, assemble, check_extra, layout, new_bundle, rebuild
from pipeline.config.options import ExportSettings
from pipeline.config.settings import texts
from pipeline.console import Console
from pipeline.data import as_input, prepared
from pipeline.errors import PipelineError
from pipeline.files import given_path, temporary_folder
from pipeline.tracking import (
    adopted_run,
    fetch_artifacts,
    fetch_example,
    open_at,
    read_contents,
    write_model,
)


def run(settings: ExportSettings, console: Console) -> None:
    """Write the bundle. Export has no run of its own, because it produces no results.

    The store's graph is never opened: pt2 and ONNX are written anew from the run's weights.

    Raises:
        PipelineError: a package or the model is missing, the run's weights do not come from this
            pipeline, ONNX gives different logits, or the bundle cannot be written.
    """
    check_extra()
    store = open_at()
    contents = read_contents(store, settings.model)
    out = given_path(settings.out)
    with adopted_run("export", texts(settings)):
        with new_bundle(out, is_forced=settings.force) as folder:
            fetch_artifacts(store, contents.run.id, folder / layout.ARTIFACTS)
            with temporary_folder() as temporary:
                rebuilt = rebuild(
                    contents.run.parameters,
                    weights=folder / layout.STATE_DICT,
                    example=fetch_example(store, contents.model.id, temporary),
                )
            mlmodel = write_model(
                rebuilt.network,
                folder / layout.MODEL_FOLDER,
                example=rebuilt.example,
                contents=contents,
            )
            images, compared_on = _images(contents, settings.data, rebuilt=rebuilt, console=console)
            summary = assemble(
                folder,
                contents,
                rebuilt=rebuilt,
                mlmodel=mlmodel,
                images=images,
                compared_on=compared_on,
            )
        onnx = summary.onnx
        console.line(
            f"ONNX (opset {onnx.opset}) and PyTorch on {onnx.images} images, {compared_on}:"
        )
        console.line(f"  no logit differs by more than {onnx.largest_difference:g}")
        for name in summary.left_out:
            console.line(f"left out: {name}, a file type that bundles do not hold")
        console.line(f"exported: {summary.model} to {out}")
    console.elapsed("done")


def _images(
    contents: Contents, data: str, *, rebuilt: Rebuilt, console: Console
) -> tuple[Float32[Tensor, "images ..."], str]:
    """What ONNX is compared on: the test images or, if they are missing, the input example."""
    parameters = contents.run.parameters
    name, digest = (parameters.get(key, "") for key in ("dataset", "dataset_digest"))
    try:
        found = prepared(name if data == "auto" else data)
        if found.digest == digest:
            return as_input(found.test_images), f"the test set of {name}"
        problem = f"{data if data != 'auto' else name!r} has digest {found.digest}"
    except PipelineError as error:
        problem = str(error)
    if data != "auto":
        raise PipelineError(
            f"data must be what the network was trained on, {name} with digest {digest}, got "
            f"another ({problem}): correct it, or leave data at auto"
        )
    console.line(f"the data set {name} (digest {digest}) is not available: {problem}")
    console.line(
        "ONNX is compared on the input example only; give data=FILE or data=FOLDER for more"
    )
    return torch.from_numpy(rebuilt.example), f"the input example, since {name} was not available"
