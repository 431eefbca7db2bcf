"""Finds the data set that a step asks for."""

import logging
from pathlib import Path

from pipeline.data.folder import named_by_files, read_folder
from pipeline.data.images import ImageData
from pipeline.data.known import KNOWN, KNOWN_NAMES
from pipeline.data.paths import is_file, is_folder
from pipeline.data.sets import load
from pipeline.data.store import DamagedError, file_of, read_prepared, write_prepared
from pipeline.errors import UsageError
from pipeline.files import given_path

logger = logging.getLogger(__name__)


def prepared(data: str, folder: Path = Path("prepared")) -> ImageData:
    """The data set that a step asks for, prepared first if necessary.

    Args:
        data: the name of a known data set or of one that was prepared, a prepared file, or a
            folder of IDX files, which is read as it is and named after the folder, or as the known
            set whose file names it holds.
        folder: where prepared data are kept.

    Raises:
        UsageError: none of these.
        PipelineError: what was asked for cannot be read, loaded or written.
    """
    path = given_path(data)
    if path.suffix == ".safetensors":
        return read_prepared(path)
    if data in KNOWN or (path.name == data and is_file(file_of(data, folder))):
        return _by_name(data, folder)
    if data and is_folder(path):
        known = named_by_files(path)
        return read_folder(path, known[0] if len(known) == 1 else path.resolve().name)
    raise UsageError(
        f"data must be one of {', '.join(KNOWN_NAMES)}, a prepared set in {folder}, a .safetensors "
        f"file or a folder of IDX files, got {data!r}: prepare it first or give its folder"
    )


def _by_name(name: str, folder: Path) -> ImageData:
    """The data set of this name: read if it exists and is intact, otherwise loaded and written."""
    path = file_of(name, folder)
    if is_file(path):
        try:
            return read_prepared(path, name)
        except DamagedError as error:
            if name not in KNOWN:
                raise
            logger.warning("%s (done now)", error)
    data = load(name, cache=folder / "downloads")
    write_prepared(data, folder)
    return data
