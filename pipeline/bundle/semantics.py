"""What a bundle's records must satisfy beyond their types, so that a store accepts them.

A store that refused one of them half-way would be left with half a model.
"""

import re
from collections.abc import Iterator, Mapping

from pipeline.bundle import layout
from pipeline.bundle.contents import ORIGIN, Contents, Summary
from pipeline.bundle.layout import BundleError
from pipeline.config.model_address import alias_name, model_name

_ID = re.compile(r"[0-9A-Za-z-]{1,64}", re.ASCII)
# MLflow's rule for names of parameters, metrics and tags, that holds on every system.
_KEY = re.compile(r"[\w.\-/ :]{1,250}")
_STATUSES = frozenset({"FINISHED", "FAILED", "KILLED"})
_KINDS = frozenset({"network", "compacted"})
_MOST = 2**53
_LENGTHS = {"parameter": 6000, "tag": 8000, "experiment": 20_000, "text": 5000, "dataset": 60_000}


def check_semantics(contents: Contents, summary: Summary) -> None:
    """Return if a store would accept all of this, and the records agree.

    Raises:
        BundleError: an id, name or number is invalid, a text is too long, or two files differ.
    """
    for file, problem in _problems(contents, summary):
        raise BundleError(file, problem)


def _problems(contents: Contents, summary: Summary) -> Iterator[tuple[str, str]]:
    run, model, version = contents.run, contents.model, contents.version
    for file, identity in (
        (layout.RUN, run.id),
        (layout.RUN, run.tags.get(ORIGIN, run.id)),
        (layout.MODEL, model.id),
        (layout.MODEL, model.tags.get(ORIGIN, model.id)),
    ):
        if not _ID.fullmatch(identity):
            yield file, "an invalid id"
    try:
        model_name(version.name)
        for alias in version.aliases:
            alias_name(alias)
    except ValueError as error:
        yield layout.VERSION, f"the name {ascii(str(error))[:80]}, which is invalid"
    if run.status not in _STATUSES:
        yield layout.RUN, "a run that has not ended"
    if not contents.experiment.name.strip() or len(contents.experiment.name) > 500:
        yield layout.EXPERIMENT, "an experiment without a name"
    if run.tags.get("kind") not in _KINDS:
        yield layout.RUN, "a run that has trained no network"
    if summary.run != run.id or summary.model != f"models:/{version.name}/{version.version}":
        yield layout.SUMMARY, "a different model from the one in the other files"
    yield from _model(contents)
    yield from _texts(contents)
    yield from _numbers(contents)


def _model(contents: Contents) -> Iterator[tuple[str, str]]:
    model = contents.model
    if not model.name or re.search(r"[/:.%\"']", model.name):
        yield layout.MODEL, "an invalid model name"
    if not model.parameters.items() <= contents.run.parameters.items():
        yield layout.MODEL, "parameters that are not its run's"
    for key, points in model.metrics.items():
        # As text: NaN equals nothing.
        if not set(map(repr, points)) <= set(map(repr, contents.metrics.get(key, ()))):
            yield layout.MODEL, f"points of {key[:80]!a} that are not its run's"


def _texts(contents: Contents) -> Iterator[tuple[str, str]]:
    run, model, version = contents.run, contents.model, contents.version
    mappings: tuple[tuple[str, str, Mapping[str, str]], ...] = (
        (layout.EXPERIMENT, "experiment", contents.experiment.tags),
        (layout.RUN, "parameter", run.parameters),
        (layout.RUN, "tag", run.tags),
        (layout.MODEL, "parameter", model.parameters),
        (layout.MODEL, "tag", model.tags),
        (layout.VERSION, "text", version.tags),
        (layout.VERSION, "text", version.model_tags),
        *((layout.RUN, "tag", entry.tags) for entry in run.datasets),
    )
    for file, kind, mapping in mappings:
        for key, value in mapping.items():
            if not _is_key(key) or len(value) > _LENGTHS[kind]:
                yield file, f"the entry {key[:80]!a}, which no store accepts"
    for text in (version.description, version.model_description):
        if len(text) > _LENGTHS["text"]:
            yield layout.VERSION, "a description that is too long"
    for entry in run.datasets:
        lengths = (len(entry.source), len(entry.schema or ""), len(entry.profile or ""))
        if len(entry.name) > 500 or len(entry.digest) > 36 or max(lengths) > _LENGTHS["dataset"]:
            yield layout.RUN, "a data set that no store accepts"


def _numbers(contents: Contents) -> Iterator[tuple[str, str]]:
    run = contents.run
    if not 0 <= run.start_ms <= (run.end_ms or run.start_ms) < _MOST:
        yield layout.RUN, "invalid times"
    for file, metrics in (
        (layout.METRICS, contents.metrics),
        (layout.MODEL, contents.model.metrics),
    ):
        for key, points in metrics.items():
            if not _is_key(key):
                yield file, f"the metric {key[:80]!a}, which no store accepts"
            if any(abs(step) > _MOST or not 0 <= time < _MOST for step, time, _ in points):
                yield file, f"an invalid step or time of {key[:80]!a}"


def _is_key(key: str) -> bool:
    """Whether MLflow accepts a parameter, metric or tag with this name."""
    return bool(_KEY.fullmatch(key)) and all(part not in ("", ".", "..") for part in key.split("/"))
