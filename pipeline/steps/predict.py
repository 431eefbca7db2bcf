"""The step `predict`: labels for images, why units are zero for them, and how sure the network is.

It logs nothing, so predicting changes no run.
"""

from collections.abc import Sequence
from dataclasses import replace

from pipeline.config.options import PredictSettings
from pipeline.console import Console, literal
from pipeline.data import class_names
from pipeline.errors import PipelineError
from pipeline.markdown import Row
from pipeline.predict import (
    Answer,
    Ink,
    LoadedNetwork,
    Query,
    Size,
    answer_images,
    csv_lines,
    hidden_masks,
    ink_of,
    input_mask,
    json_lines,
    layout_of,
    load_network,
    read_inputs,
    tables,
)
from pipeline.tracking import Tracker, example_of, open_at, signature_of

UNITS = """\
  active    z > 0 for this image
  inactive  z <= 0 for this image, but not for every training image
  dead      z <= 0 for this image and for every training image
  woken     active here, although z <= 0 for every training image
"""
NO_RELU = "This network has no ReLU, so no unit is ever inactive or dead."
MASKS = """\
  mean, 95 %  the label's probability over the masks: its mean, and the range of 95 % of them
  entropy     entropy of the mean class probabilities, in nats: how uncertain the answer is
  from masks  the part of it that comes from disagreement between masks (mutual information)
"""
CAUSES = """\
  mean number of units per pass, by cause: active is not zero; dropped is zero only because of
  dropout, inactive only because of ReLU; for both, either would be enough
"""


def run(settings: PredictSettings, console: Console) -> None:
    """Classify every image that can be read, then fail if any could not.

    Raises:
        PipelineError: the model does not exist or cannot do what was asked, or some images
            cannot be read: one line for each.
    """
    tracker = Tracker(open_at())
    version = tracker.registry.find(settings.model)
    origin = tracker.run_or_none(version.run_id) if version.run_id else None
    if origin is None:
        raise PipelineError(
            "a model needs the run that trained it, for its weights, in this store, got run "
            f"{version.run_id or 'none'} for {settings.model}: restore the run if it was deleted, "
            "or import the model's bundle here"
        )
    inside = load_network(origin, tracker)
    size = _size(version.address, inside)
    dataset = origin.parameters.get("dataset", "")
    layout = layout_of(dataset) if settings.layout == "auto" else settings.layout
    inputs = read_inputs(
        settings.images,
        size=size,
        layout=layout,
        ink=settings.ink,
        is_fitted_anew=settings.layout != "auto",
        learned=_learned(version.address),
    )
    query = _asked_about(settings, inside, dataset)
    _show(answer_images(query, inputs.names, inputs.images), settings, console, note=inside.note)
    if inputs.failures:
        raise PipelineError("\n".join(inputs.failures))


def _size(address: str, inside: LoadedNetwork) -> Size:
    """Height and width of the model's images, from its signature."""
    inputs, _ = signature_of(address)
    pixels = inside.stack.weights[0].shape[1]
    match inputs:
        case (_, 1, height, width) if height > 0 and height * width == pixels:
            return height, width
    raise PipelineError(
        f"a model must take grey images, (-1, 1, height, width), of the {pixels} pixels that its "
        f"network takes, got {inputs} at {address}: choose another"
    )


def _learned(address: str) -> Ink:
    """The ink of the images that the model learned from, to judge by its input example."""
    example = example_of(address)
    return "light" if example is None or example.ndim != 4 else ink_of(list(example[:, 0]))


def _asked_about(settings: PredictSettings, inside: LoadedNetwork, dataset: str) -> Query:
    """What is asked, with the masks to try."""
    recipe, passes, seed = inside.recipe, settings.passes, settings.seed
    query = Query(
        inside=inside,
        classes=class_names(dataset, inside.stack.units[-1]),
        is_why=settings.why,
    )
    if not passes:
        return query
    masks = hidden_masks(recipe, inside.stack.units, passes, seed=seed)
    inputs = input_mask(recipe, inside.stack.weights[0].shape[1], passes, seed=seed)
    if all(mask is None for mask in (inputs, *masks)):
        raise PipelineError(
            f"passes must be 0 for a network without dropout, got {passes} for "
            f"{settings.model} ({recipe.name}): no mask changes it"
        )
    return replace(query, masks=masks, input_mask=inputs)


def _show(found: list[Answer], settings: PredictSettings, console: Console, *, note: str) -> None:
    """Write the answers in the chosen format."""
    if settings.format != "table":
        write = json_lines if settings.format == "json" else csv_lines
        for line in write(found):
            console.line(line)
        return
    if not found:
        return
    title = f"Predictions of {settings.model}"
    _table(console, title, tables.COLUMNS, [tables.row(answer) for answer in found])
    if settings.passes:
        rows = [row for answer in found for row in tables.masked_rows(answer)]
        title = f"Predictions under {settings.passes} dropout masks"
        _table(console, title, tables.MASKED_COLUMNS, rows)
        console.line(MASKS)
    if settings.why:
        rows = [row for answer in found for row in tables.unit_rows(answer)]
        if rows:
            _table(console, "Units, without dropout", tables.UNIT_COLUMNS, rows)
        console.line(UNITS if rows else NO_RELU)
        if note:
            console.line(f"dead is unknown: {note}")
    if settings.why and settings.passes:
        rows = [row for answer in found for row in tables.cause_rows(answer)]
        _table(console, "Units, under the masks", tables.CAUSE_COLUMNS, rows)
        console.line(CAUSES)


def _table(console: Console, title: str, columns: Row, rows: Sequence[Row]) -> None:
    """Show a table whose cells may be file names that contain brackets."""
    console.table(literal(title), columns, [[literal(cell) for cell in row] for row in rows])
