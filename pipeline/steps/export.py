"""The step `export`: a registered model and all that is known of it, as one folder or zip."""

import tempfile
from pathlib import Path

import torch
from jaxtyping import Float32
from torch import Tensor

from pipeline.bundle import Contents, Rebuilt, assemble, check_extra, layout, new_bundle, rebuild
from pipeline.config.options import ExportSettings
from pipeline.config.settings import texts
from pipeline.console import Console
from pipeline.data import as_input, prepared
from pipeline.errors import PipelineError
from pipeline.tracking import (
    adopted_run,
    fetch_artifacts,
    fetch_example,
    open_at,
    read_contents,
    write_model,
)


def run(settings: ExportSettings, console: Console) -> None:
    """Write the bundle; no run of its own is made, since nothing is learned by it.

    The store's graph is never opened: pt2 and ONNX are written anew from the run's weights.

    Raises:
        PipelineError: a package or the model is missing, the run's weights are none of this
            pipeline's, ONNX gives other logits, or the bundle cannot be written.
    """
    with adopted_run("export", texts(settings)):
        check_extra()
        store = open_at()
        contents = read_contents(store, settings.model)
        out = Path(settings.out).expanduser()
        with new_bundle(out, is_forced=settings.force) as folder:
            fetch_artifacts(store, contents.run.id, folder / layout.ARTIFACTS)
            with tempfile.TemporaryDirectory() as temporary:
                rebuilt = rebuild(
                    contents.run.parameters,
                    weights=folder / layout.STATE_DICT,
                    example=fetch_example(store, contents.model.id, Path(temporary)),
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
        console.line(f"ONNX (opset {onnx.opset}) and PyTorch, {onnx.images} images, {compared_on}:")
        console.line(f"  no logit differs by more than {onnx.largest_difference:g}")
        for name in summary.left_out:
            console.line(f"left out: {name}, a kind of file that no bundle takes")
        console.line(f"exported: {summary.model} to {out}")
    console.elapsed("done")


def _images(
    contents: Contents, data: str, *, rebuilt: Rebuilt, console: Console
) -> tuple[Float32[Tensor, "images ..."], str]:
    """What ONNX is compared on: the test images, or the input example where these are not here."""
    parameters = contents.run.parameters
    name, digest = (parameters.get(key, "") for key in ("dataset", "dataset_digest"))
    try:
        found = prepared(name if data == "auto" else data)
        if found.digest == digest:
            return as_input(found.test_images), f"the test set of {name}"
        problem = f"{data if data != 'auto' else name!r} has digest {found.digest} instead"
    except PipelineError as error:
        problem = str(error)
    if data != "auto":
        raise PipelineError(
            f"data must be what the network was trained on, {name} with digest {digest}, got: "
            f"{problem}"
        )
    console.line(f"the data set {name} (digest {digest}) is not here: {problem}")
    console.line("ONNX is compared on the input example alone; data=... names a file or folder")
    return torch.from_numpy(rebuilt.example), f"the input example, since {name} was not at hand"
