"""The README of a bundle."""

from importlib import resources

from pipeline.bundle import layout
from pipeline.bundle.contents import Summary

_FILES = {
    (layout.CARD,): "what the network is, how it was trained, how well it does, its limits",
    (layout.PREDICT,): "classifies images; needs only numpy and onnxruntime",
    (layout.ONNX,): "the network as ONNX, for batches of any size",
    (layout.GRAPH,): "the network as a PyTorch graph (pt2), for batches of any size",
    (layout.STATE_DICT,): "its weights, as safetensors",
    (f"{layout.MODEL_FOLDER}/",): "a complete MLflow model: the pt2 with signature, input example "
    "and requirements",
    (layout.SUMMARY,): "lineage: run, experiment, data and their digest, commit, environment",
    (layout.RUN,): "the run's parameters, tags and times",
    (layout.METRICS,): "every point of every metric: [step, milliseconds since 1970, value]",
    (layout.EXPERIMENT, layout.MODEL, layout.VERSION): "experiment, logged model, and registered "
    "version with its tags and aliases",
    (f"{layout.ARTIFACTS}/",): "plots and the other files of the run",
    (layout.SUMS,): "digests of all of these",
}


def predict_script() -> str:
    """The text of `predict.py` as it is put into a bundle."""
    return resources.files("pipeline.bundle").joinpath(layout.PREDICT).read_text("utf-8")


def readme(summary: Summary) -> str:
    """The text of the bundle's README.md."""
    shape = " x ".join(str(size) for size in summary.input_shape[1:])
    commit = summary.commit or "unknown"
    if summary.is_dirty:
        commit += ", with uncommitted changes"
    left_out = "".join(
        f"\nLeft out of this bundle: `{name}` of the run.\n" for name in summary.left_out
    )
    return f"""\
# {summary.model}: {summary.run_name}

A trained network with everything recorded about it, exported from an MLflow registry by
{summary.made_by}. `{layout.CARD}` says what it is and how well it does.

| file | what it is |
|---|---|
{_table()}
{left_out}
Input: float32 in [0, 1], background 0, shape (batch, {shape}). Output: a logit for each of the
{len(summary.classes)} classes: {", ".join(summary.classes)}.

ONNX (opset {summary.onnx.opset}) and PyTorch were compared on {summary.onnx.images} images:
{summary.onnx.compared_on}. No logit differs by more than {summary.onnx.largest_difference:g}.

    sha256sum -c {layout.SUMS}
    pip install numpy onnxruntime && python {layout.PREDICT} digits.npy
    why-zero import --bundle . --to sqlite:///mlflow.db

The digests reveal damage, not who made the bundle. `{layout.PREDICT}`, pt2 and ONNX are programs:
open them only if you trust where the bundle comes from. Import opens none of them: it rebuilds the
network from its weights and the run's parameters, as export did.

- data: {summary.dataset}, digest {summary.dataset_digest}
- run: {summary.run}, in the experiment {summary.experiment}
- commit: {commit}
- environment: Python {summary.python}, {", ".join(summary.requirements)}
"""


def _table() -> str:
    rows = ((", ".join(f"`{name}`" for name in names), text) for names, text in _FILES.items())
    return "\n".join(f"| {names} | {text} |" for names, text in rows)
