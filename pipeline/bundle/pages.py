"""The page that explains a bundle to whoever unpacks it.

It must not know more than the bundle itself tells.
"""

from importlib import resources

from pipeline.bundle import layout
from pipeline.bundle.contents import Summary


def predict_script() -> str:
    """The text of `predict.py` as it is put into a bundle."""
    return resources.files("pipeline.bundle").joinpath(layout.PREDICT).read_text("utf-8")


def readme(summary: Summary) -> str:
    """The text of the bundle's README.md."""
    shape = " x ".join(str(size) for size in summary.input_shape[1:])
    commit = summary.commit or "unknown"
    if summary.is_dirty:
        commit += ", changed since"
    left_out = "".join(f"\nNot in this bundle: `{name}` of the run.\n" for name in summary.left_out)
    return f"""\
# {summary.model}: {summary.run_name}

A trained network with all that is known of it, exported from an MLflow registry by
{summary.made_by}. What it is and how good it is: `{layout.CARD}`.

| file | what it is |
|---|---|
| `{layout.CARD}` | what the network is, how it was trained, how well it does, its limits |
| `{layout.PREDICT}` | classifies images; needs numpy and onnxruntime alone |
| `{layout.ONNX}` | the network, ONNX opset {summary.onnx.opset}, batches of any size |
| `{layout.GRAPH}` | the network, PyTorch (pt2) |
| `{layout.STATE_DICT}` | its weights, safetensors |
| `{layout.MODEL_FOLDER}/` | the same pt2 as an MLflow model: signature, input example, requirements |
| `{layout.SUMMARY}` | lineage: run, experiment, data and their digest, commit, environment |
| `{layout.RUN}`, `{layout.METRICS}` | the run's parameters and tags; every point of its metrics: [step, milliseconds since 1970, value] |
| `{layout.EXPERIMENT}`, `{layout.MODEL}`, `{layout.VERSION}` | experiment, logged model, registered version with tags and aliases |
| `{layout.ARTIFACTS}/` | plots and the other files of the run |
| `{layout.SUMS}` | digests of all of these |
{left_out}
Input: float32 in [0, 1], background 0, shape (batch, {shape}). Output: one logit for each of
{len(summary.classes)} classes ({", ".join(summary.classes)}).
ONNX and PyTorch were compared on {summary.onnx.images} images ({summary.onnx.compared_on}): no
logit differs by more than {summary.onnx.largest_difference:g}.

    sha256sum -c {layout.SUMS}
    pip install numpy onnxruntime && python {layout.PREDICT} digits.npy
    python -m pipeline import --bundle . --to sqlite:///mlflow.db

The digests tell damage, not who made the bundle. `{layout.PREDICT}` is a program: run it only if
you trust where you have the bundle from. Import does not run it.

Trained on {summary.dataset} (digest {summary.dataset_digest}) in the run {summary.run} of the
experiment {summary.experiment}; commit {commit}; Python {summary.python},
{", ".join(summary.requirements)}.
"""
