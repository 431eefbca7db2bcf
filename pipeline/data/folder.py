"""Reads a folder of four IDX files into a verified data set."""

from itertools import product
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pipeline.data.digests import verify_checksums, verify_published
from pipeline.data.idx import Numbers, read_idx
from pipeline.data.images import ImageData, Part, assemble
from pipeline.data.known import KNOWN, KnownSet
from pipeline.data.paths import check_name, is_file, is_folder
from pipeline.errors import PipelineError

HALVES = {"train": ("train",), "test": ("t10k", "test")}
IMAGES = "images-idx3-ubyte"


def read_folder(folder: Path, name: str) -> ImageData:
    """The data set in a folder of IDX files, each plain or gzipped.

    A known set whose digests are known must be the published one. For others a file `SHA256SUMS`
    in the folder, where there is one, must list the four files as they lie there. EMNIST's images,
    which its files hold transposed, become upright.

    Args:
        folder: holds `train-images-idx3-ubyte`, `train-labels-idx1-ubyte` and the same for `t10k`
            or `test`, with `.idx` for `-idx` and `.gz` allowed; EMNIST and QMNIST may have the
            names they are distributed with.
        name: of the data set. A known one brings its classes, and so do file names as EMNIST and
            QMNIST have them; any other has the classes 0 to its largest training label.

    Raises:
        PipelineError: a missing, damaged or wrong file, or files that do not match.
        UsageError: a name that cannot be a file's stem.
    """
    check_name(name)
    if not is_folder(folder):
        raise PipelineError(
            f"source must be a folder of IDX files, got {folder}: give one that can be read"
        )
    layout = _layout(folder, name)
    paths = [
        _find(folder, half, kind=kind, prefix=layout.prefix)
        for half, kind in product(HALVES, (IMAGES, f"labels-{layout.labels}"))
    ]
    if layout.sha256 is None:
        verify_checksums(folder, paths)
    arrays = [read_idx(path) for path in paths]
    if layout.sha256 is not None:
        verify_published(name, paths, arrays=arrays, sha256=layout.sha256)
    train = Part(_images(arrays[0], layout), _labels(arrays[1], layout, path=paths[1]))
    test = Part(_images(arrays[2], layout), _labels(arrays[3], layout, path=paths[3]))
    return assemble(
        name,
        train,
        test=test,
        classes=layout.classes or tuple(str(label) for label in range(int(train.labels.max()) + 1)),
        source=str(folder),
        licence=layout.licence,
    )


def named_by_files(folder: Path) -> tuple[str, ...]:
    """The known data sets whose training images lie here under the name they are distributed with.

    Such a name starts with the set's own: `emnist-letters-train-images-idx3-ubyte`.
    """
    return tuple(
        name for name, known in KNOWN.items() if known.prefix and _has_images(folder, known.prefix)
    )


def _layout(folder: Path, name: str) -> KnownSet:
    """What is known about the files: by the data set's name, or else by their own."""
    if name in KNOWN:
        return KNOWN[name]
    found = named_by_files(folder)
    if len(found) > 1:
        raise PipelineError(
            f"a folder with several data sets needs the name of one, got {name!r} for "
            f"{', '.join(found)} in {folder}: prepare --dataset {found[0]} --source {folder}"
        )
    if not found and name.lower().startswith("emnist") and _has_images(folder):
        sets = ", ".join(known for known in KNOWN if known.startswith("emnist"))
        raise PipelineError(
            f"EMNIST must be named as one of its sets, for its files are transposed, got {name!r} "
            f"for {folder}: name it as one of {sets}, or upright images in another way"
        )
    return KNOWN[found[0]] if found else KnownSet(classes=(), licence="not stated")


def _find(folder: Path, half: str, *, kind: str, prefix: str) -> Path:
    """The one file for this half and kind, plain before gzipped."""
    spellings = _spellings(folder, half, kind, prefix)
    found = [stem for stem, there in spellings.items() if any(there)]
    if len(found) != 1:
        got = f"both {' and '.join(found)}" if found else "none"
        wanted = [stem for stem in spellings if stem.startswith(prefix)]
        inside = None if found else _below(folder)
        remedy = f"give {inside}" if inside else "add the missing one or remove the extra one"
        raise PipelineError(
            f"a folder of IDX files must hold one {' or '.join(wanted)} (plain or .gz), "
            f"got {got} in {folder}: {remedy}"
        )
    is_plain, _ = spellings[found[0]]
    return folder / (found[0] if is_plain else f"{found[0]}.gz")


def _below(folder: Path) -> Path | None:
    """A folder inside this one that holds a data set, such as torchvision's `MNIST/raw`."""
    inside = (path for depth in ("*", "*/*") for path in sorted(folder.glob(depth)))
    return next((path for path in inside if _has_images(path) or named_by_files(path)), None)


def _has_images(folder: Path, prefix: str = "") -> bool:
    """Whether the training images lie here, under a name with this start."""
    spellings = _spellings(folder, "train", IMAGES, prefix)
    return any(any(there) for stem, there in spellings.items() if stem.startswith(prefix))


def _spellings(folder: Path, half: str, kind: str, prefix: str) -> dict[str, tuple[bool, bool]]:
    """Every name that the file may have, and whether it is there plain and gzipped."""
    what, form = kind.split("-", 1)
    stems = [
        f"{start}{part}-{what}{dot}{form}"
        for start in dict.fromkeys((prefix, ""))
        for part in HALVES[half]
        for dot in "-."
    ]
    return {stem: _is_there(folder, stem) for stem in stems}


def _is_there(folder: Path, stem: str) -> tuple[bool, bool]:
    """Whether the file is there plain, and whether it is there gzipped."""
    return is_file(folder / stem), is_file(folder / f"{stem}.gz")


def _images(array: Numbers, layout: KnownSet) -> Tensor:
    """Upright images."""
    images = torch.from_numpy(array)
    is_transposed = layout.is_transposed and images.ndim == 3
    return images.transpose(1, 2).contiguous() if is_transposed else images


def _labels(array: Numbers, layout: KnownSet, *, path: Path) -> Tensor:
    """Labels that count from 0."""
    dimensions, dtype = (2, np.int32) if layout.labels == "idx2-int" else (1, np.uint8)
    if array.ndim != dimensions or array.dtype != dtype:
        raise PipelineError(
            f"labels must be {np.dtype(dtype).name} in {dimensions} dimensions, got "
            f"{array.dtype.name} in {array.ndim} in {path}: give the label file of these images"
        )
    # The first of QMNIST's eight columns is the class; the others identify the writer.
    labels = torch.from_numpy(array if array.ndim == 1 else array[:, 0]).long()
    if labels.min() < layout.first_label:
        raise PipelineError(
            f"labels must start at {layout.first_label}, got {int(labels.min())} in {path}: "
            "give the labels as they are distributed"
        )
    return labels - layout.first_label
