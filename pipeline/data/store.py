"""Prepared data: one safetensors file per data set, written atomically, verified on reading."""

import json
import textwrap
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from pipeline.data.images import ImageData, Part, assemble
from pipeline.data.paths import is_file
from pipeline.errors import PipelineError
from pipeline.files import write_whole

FORMAT = "1"
TENSORS = ("train_images", "train_labels", "test_images", "test_labels")


class DamagedError(PipelineError):
    """A prepared file that exists but does not hold what it should."""


def write_prepared(data: ImageData, folder: Path) -> Path:
    """Write `folder/<name>.safetensors`, whole or not at all, and return its path.

    Args:
        data: what to write; labels are stored as bytes.
        folder: created if it does not exist.

    Raises:
        PipelineError: the folder cannot be written, or the disk is full.
    """
    path = file_of(data.name, folder)
    content = save(
        {name: getattr(data, name).to(torch.uint8).contiguous() for name in TENSORS},
        metadata={
            "format": FORMAT,
            "name": data.name,
            "classes": json.dumps(data.classes),
            "digest": data.digest,
            "source": data.source,
            "licence": data.licence,
        },
    )
    try:
        write_whole(path, content)
    except OSError as error:
        raise PipelineError(
            f"prepared data must be written to a folder with room for {len(content)} bytes, got "
            f"{folder} ({error.strerror}): give another folder or make room"
        ) from error
    return path


def read_prepared(path: Path, name: str | None = None) -> ImageData:
    """The data set in a prepared file, its structure and digest verified.

    Args:
        path: a file that `write_prepared` wrote.
        name: the data set that must be in it; None for any.

    Raises:
        PipelineError: the file is missing, unreadable or damaged.
    """
    if not is_file(path):
        raise PipelineError(f"prepared data must be a file, got {path}: prepare the data first")
    try:
        with path.open("rb"), safe_open(path, framework="pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
            # A copy: safetensors maps the file itself, which may change later.
            tensors = [file.get_tensor(tensor).clone() for tensor in TENSORS]
        data = assemble(
            metadata["name"],
            Part(*tensors[:2]),
            test=Part(*tensors[2:]),
            classes=_classes(metadata["classes"]),
            source=metadata["source"],
            licence=metadata["licence"],
        )
    except OSError as error:
        raise PipelineError(
            f"prepared data must be readable, got {path} ({error.strerror}): check its permissions"
        ) from error
    except (SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise _damaged(path, textwrap.shorten(f"{type(error).__name__}: {error}", 200)) from error
    except PipelineError as error:
        raise _damaged(path, "images and labels that do not match") from error
    if (metadata.get("format"), metadata.get("digest")) != (FORMAT, data.digest):
        raise _damaged(path, "another format or digest")
    if name not in (None, data.name):
        raise _damaged(path, f"the data set {data.name!r}")
    return data


def _classes(text: str) -> tuple[str, ...]:
    classes = json.loads(text)
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise ValueError("classes that are no list of names")
    return tuple(classes)


def file_of(name: str, folder: Path) -> Path:
    """Where the data set of this name is kept once it is prepared."""
    return folder / f"{name}.safetensors"


def _damaged(path: Path, found: str) -> DamagedError:
    """The error for a prepared file that must be prepared again."""
    return DamagedError(
        f"a prepared file must hold what was written to it, got {found} in {path}: "
        "prepare the data again"
    )
