"""The records of a bundle in its folder: which record lies in which file."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.bundle import layout
from pipeline.bundle.codec import Text, decode, encode
from pipeline.bundle.contents import (
    Contents,
    ExperimentRecord,
    ModelRecord,
    Points,
    RunRecord,
    Summary,
    VersionRecord,
)
from pipeline.bundle.layout import BundleError

# A link that works only inside MLflow's UI: in a file, its text alone is kept.
_UI_LINK = re.compile(r"\[([^\]]*)\]\(#/[^)]*\)")


def write_records(folder: Path, contents: Contents, summary: Summary) -> None:
    """Write the records into the bundle's folder, and the model card as a page of its own."""
    records = {
        layout.SUMMARY: summary,
        layout.EXPERIMENT: contents.experiment,
        layout.RUN: contents.run,
        layout.METRICS: contents.metrics,
        layout.MODEL: contents.model,
        layout.VERSION: contents.version,
    }
    for name, record in records.items():
        write_text(folder / name, encode(record))
    card = _UI_LINK.sub(r"\1", contents.version.description)
    write_text(folder / layout.CARD, f"{card.rstrip()}\n")


def write_text(path: Path, text: str) -> None:
    """Write a text with the same bytes on every system."""
    path.write_text(text, encoding="utf-8", newline="\n")


def read_summary(folder: Path) -> Summary:
    """The summary of the bundle in this folder.

    Raises:
        BundleError: it holds no summary, or one of another format.
    """
    summary: Summary = _read(Summary, folder, layout.SUMMARY)
    if summary.format != layout.FORMAT:
        raise BundleError(layout.SUMMARY, f"format {summary.format} where {layout.FORMAT} is read")
    return summary


def read_contents(folder: Path) -> Contents:
    """The records of the bundle in this folder.

    Raises:
        BundleError: a file does not hold its record.
    """
    return Contents(
        experiment=_read(ExperimentRecord, folder, layout.EXPERIMENT),
        run=_read(RunRecord, folder, layout.RUN),
        metrics=_read(Mapping[Text, Points], folder, layout.METRICS),
        model=_read(ModelRecord, folder, layout.MODEL),
        version=_read(VersionRecord, folder, layout.VERSION),
    )


def _read(kind: Any, folder: Path, name: str) -> Any:  # noqa: ANN401 - see decode
    try:
        return decode(kind, (folder / name).read_bytes())
    except (ValueError, OSError) as error:
        raise BundleError(name, str(error)) from error
