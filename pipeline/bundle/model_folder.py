"""What a bundle keeps of an MLmodel, the file that says how MLflow loads a model."""

from collections.abc import Mapping

from pipeline.bundle.codec import encode

# What else MLmodel says is of the store that the model was in.
_KEPT = (
    "flavors", "mlflow_version", "model_id", "model_size_bytes", "model_uuid", "run_id",
    "saved_input_example_info", "signature", "utc_time_created",
)  # fmt: skip


def standing_alone(mlmodel: Mapping[str, object]) -> str:
    """What the file MLmodel says, without what ties it to a place; JSON, which is YAML as well."""
    return encode({key: mlmodel[key] for key in _KEPT if key in mlmodel})
