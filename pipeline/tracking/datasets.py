"""Writes a data set the way MLflow keeps the inputs of a run."""

import json
from collections.abc import Mapping

import numpy as np
from mlflow.entities import Dataset, DatasetInput, InputTag
from mlflow.types import Schema, TensorSpec
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT
from numpy.typing import NDArray

# MLflow digests the first 10,000 values, fewer than 13 images: ours is of all, cut to what fits.
_DIGEST_LENGTH = 36


def dataset_input(
    name: str,
    digest: str,
    *,
    source: str,
    context: str,
    arrays: Mapping[str, NDArray[np.generic]],
    profile: Mapping[str, object],
) -> DatasetInput:
    """MLflow's entry of a data set; the arguments are those of `Run.dataset`."""
    schema = Schema(
        [TensorSpec(array.dtype, (-1, *array.shape[1:]), key) for key, array in arrays.items()]
    )
    dataset = Dataset(
        name=name,
        digest=digest[:_DIGEST_LENGTH],
        source_type="local",
        source=json.dumps({"uri": source}),
        schema=json.dumps({"mlflow_tensorspec": {"features": schema.to_json(), "targets": None}}),
        profile=json.dumps(profile),
    )
    return DatasetInput(dataset, [InputTag(MLFLOW_DATASET_CONTEXT, context)])
