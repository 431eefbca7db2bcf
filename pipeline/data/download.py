"""The folder of IDX files that torchvision keeps for a known data set, downloaded if needed."""

import socket
import textwrap
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from importlib import import_module
from pathlib import Path
from types import ModuleType

from pipeline.data.known import KnownSet
from pipeline.errors import PipelineError

ANSWER_SECONDS = 30.0
# What torchvision raises for a failing connection, a bad archive or a damaged earlier download.
FAILURES = (
    OSError,
    HTTPException,
    EOFError,
    zlib.error,
    zipfile.BadZipFile,
    RuntimeError,
    ValueError,
    TypeError,
    LookupError,
    AssertionError,
)


def fetch(name: str, known: KnownSet, *, cache: Path) -> Path:
    """The folder in which torchvision keeps the raw files of this data set.

    Args:
        name: of the data set, for messages.
        known: which of torchvision's classes provides it, with which arguments.
        cache: where torchvision keeps its files; what is there is not downloaded again.

    Raises:
        PipelineError: torchvision does not work, or the download failed.
    """
    make = getattr(_torchvision_datasets(name), known.torchvision)
    try:
        with _answer_within(ANSWER_SECONDS):
            made = [make(root=cache, download=True, **arguments) for arguments in known.calls]
    except FAILURES as error:
        reason = textwrap.shorten(f"{type(error).__name__}: {error}", 200)
        raise PipelineError(
            f"{name} must be downloaded once, got {reason}: delete {cache / known.torchvision} and "
            "try again, or fetch its IDX files yourself and give source=FOLDER"
        ) from error
    return Path(made[0].raw_folder)


def _torchvision_datasets(name: str) -> ModuleType:
    """The module with torchvision's data sets, imported only where one is asked for."""
    try:
        return import_module("torchvision.datasets")
    # A torchvision built for another torch fails on its operators, not as a missing module.
    except (ImportError, RuntimeError, AttributeError, OSError) as error:
        reason = textwrap.shorten(str(error), 200)
        raise PipelineError(
            f"{name} needs a torchvision that fits the installed torch, got {reason}: "
            "install both together, or give source=FOLDER"
        ) from error


@contextmanager
def _answer_within(seconds: float) -> Iterator[None]:
    """Limit how long a server may take to answer in this block: torchvision sets no limit."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
