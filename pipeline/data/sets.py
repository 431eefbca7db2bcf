"""Loads a data set by name, from the package, a download or a folder."""

from dataclasses import replace
from importlib import resources
from pathlib import Path

from pipeline.data.download import fetch
from pipeline.data.folder import read_folder
from pipeline.data.images import ImageData
from pipeline.data.known import KNOWN, KNOWN_NAMES
from pipeline.data.paths import check_name
from pipeline.errors import UsageError
from pipeline.files import given_path

DOWNLOADS = Path("prepared") / "downloads"


def load(dataset: str, source: str = "auto", *, cache: Path = DOWNLOADS) -> ImageData:
    """The verified data set of this name.

    Args:
        dataset: a known name (`KNOWN_NAMES`), or with a folder any name of your own.
        source: `auto` (MNIST from inside the package, other known sets through torchvision), or
            a folder of IDX files.
        cache: where torchvision keeps what it downloads.

    Raises:
        UsageError: an unknown data set without a folder, or a name that cannot be a file's stem.
        PipelineError: a download that failed, or files that are missing, damaged or wrong.
    """
    check_name(dataset)
    if source != "auto":
        return read_folder(given_path(source), dataset)
    if dataset not in KNOWN:
        raise UsageError(
            f"dataset must be one of {', '.join(KNOWN_NAMES)}, got {dataset!r}: "
            "give source=FOLDER for IDX files of your own"
        )
    known = KNOWN[dataset]
    if not known.torchvision:
        with resources.as_file(resources.files("pipeline.data") / dataset) as folder:
            return replace(read_folder(folder, dataset), source="the copy inside the package")
    data = read_folder(fetch(dataset, known, cache=cache), dataset)
    return replace(data, source=f"torchvision.datasets.{known.torchvision}")
