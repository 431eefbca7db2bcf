"""The frozen records of a bundle: run, metrics, version, lineage."""

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.bundle.codec import STRICT, Number, Text

Points = tuple[tuple[int, int, Number], ...]

# The tag of a run or a logged model that an import made: the id of the first one of its line.
ORIGIN = "imported_from"


@dataclass(frozen=True, kw_only=True)
class ExperimentRecord:
    """The experiment that a run is in.

    Attributes:
        id: in the store that it comes from.
        name: its display name.
        tags: its tags, saved views among them.
    """

    __pydantic_config__ = STRICT

    id: Text
    name: Text
    tags: Mapping[Text, Text]


@dataclass(frozen=True, kw_only=True)
class DatasetRecord:
    """A data set that a run has read.

    Attributes:
        name: its display name.
        digest: of all its bytes, as far as the store keeps it.
        source_type: of the source, such as `local`.
        source: JSON that says where it was.
        schema: JSON of its arrays' types and shapes; None if unknown.
        profile: JSON of counts; None if unknown.
        tags: what the run has used it for.
    """

    __pydantic_config__ = STRICT

    name: Text
    digest: Text
    source_type: Text
    source: Text
    schema: Text | None
    profile: Text | None
    tags: Mapping[Text, Text]


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """A run that has ended, except for its metrics and artifacts.

    Attributes:
        id: in the store that it comes from.
        name: its display name.
        status: as MLflow names it, such as `FINISHED`.
        start_ms: when it started, milliseconds since 1970.
        end_ms: when it ended; None if unknown.
        parameters: its settings as text.
        tags: its tags, the description among them.
        datasets: what it has read.
    """

    __pydantic_config__ = STRICT

    id: Text
    name: Text
    status: Text
    start_ms: int
    end_ms: int | None
    parameters: Mapping[Text, Text]
    tags: Mapping[Text, Text]
    datasets: tuple[DatasetRecord, ...]


@dataclass(frozen=True, kw_only=True)
class ModelRecord:
    """A model that a run has logged, except for its files.

    Attributes:
        id: in the store that it comes from.
        name: what the run calls it.
        type: what kind of model; None if unknown.
        step: the epoch whose weights these are.
        parameters: its settings as text.
        tags: its tags.
        metrics: the points (step, milliseconds since 1970, value) of the run's that are its own.
    """

    __pydantic_config__ = STRICT

    id: Text
    name: Text
    type: Text | None
    step: int
    parameters: Mapping[Text, Text]
    tags: Mapping[Text, Text]
    metrics: Mapping[Text, Points]


@dataclass(frozen=True, kw_only=True)
class VersionRecord:
    """A version of a registered model, with the registered model's own description and tags.

    Attributes:
        name: of the registered model.
        version: its number in the registry that it comes from.
        description: the model card, Markdown.
        tags: of the version.
        aliases: that point to it, sorted.
        model_description: of the registered model, Markdown.
        model_tags: of the registered model.
    """

    __pydantic_config__ = STRICT

    name: Text
    version: int
    description: Text
    tags: Mapping[Text, Text]
    aliases: tuple[Text, ...]
    model_description: Text
    model_tags: Mapping[Text, Text]


@dataclass(frozen=True, kw_only=True)
class Contents:
    """All records of a bundle; the files of the model and of the run come on top.

    Attributes:
        experiment: where the run is.
        run: that trained the network.
        metrics: every point (step, milliseconds since 1970, value) of each of the run's metrics.
        model: that the run logged.
        version: that it is registered as.
    """

    __pydantic_config__ = STRICT

    experiment: ExperimentRecord
    run: RunRecord
    metrics: Mapping[Text, Points]
    model: ModelRecord
    version: VersionRecord


@dataclass(frozen=True, kw_only=True)
class OnnxRecord:
    """What is known of the ONNX file.

    Attributes:
        opset: the version of its operators.
        images: on how many images it was compared with the PyTorch model.
        compared_on: which images these are, for people.
        largest_difference: of any logit, absolute, rounded up to two digits.
    """

    __pydantic_config__ = STRICT

    opset: int
    images: int
    compared_on: Text
    largest_difference: Number


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The summary of a bundle, `bundle.json`.

    Attributes:
        format: the version of the bundle's layout.
        made_by: package and version that wrote it.
        model: the address of the version in the registry that it comes from.
        experiment: its name.
        run: the id of the run in the store that it comes from.
        run_name: the display name of the run.
        dataset: what it was trained on.
        dataset_digest: of all bytes of that.
        commit: of the code that trained it; None where that was in no repository.
        is_dirty: the code differed from the commit.
        python: the version of Python that logged the model.
        requirements: what the model needs to be loaded, with versions.
        input_shape: of the model's input, -1 for the batch.
        output_shape: of its output.
        classes: what each output stands for, in order.
        onnx: what is known of the ONNX file.
        left_out: artifacts of the run of a type that bundles do not hold.
    """

    __pydantic_config__ = STRICT

    format: int
    made_by: Text
    model: Text
    experiment: Text
    run: Text
    run_name: Text
    dataset: Text
    dataset_digest: Text
    commit: Text | None
    is_dirty: bool
    python: Text
    requirements: tuple[Text, ...]
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    classes: tuple[Text, ...]
    onnx: OnnxRecord
    left_out: tuple[Text, ...]
