"""An untrusted bundle, copied and verified before anything is done with it."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.bundle import layout
from pipeline.bundle.archive import BROKEN, Source, opened
from pipeline.bundle.checks import check_files
from pipeline.bundle.contents import Contents, Summary
from pipeline.bundle.digests import digest, parse_sums
from pipeline.bundle.files import read_contents, read_summary
from pipeline.bundle.layout import BundleError
from pipeline.bundle.rebuild import Rebuilt, rebuild
from pipeline.bundle.semantics import check_semantics
from pipeline.errors import PipelineError
from pipeline.files import temporary_folder

_CHUNK = 1 << 20
_MOST_SUMS = 4 << 20


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A verified bundle.

    Attributes:
        folder: a copy of its files, every one with the digest that SHA256SUMS gives.
        digest: of SHA256SUMS, and so of everything: 64 hexadecimal digits.
        summary: its `bundle.json`.
        contents: its records.
        rebuilt: its network, rebuilt from its weights.
    """

    folder: Path
    digest: str
    summary: Summary
    contents: Contents
    rebuilt: Rebuilt


@contextmanager
def open_bundle(bundle: Path) -> Iterator[Bundle]:
    """The verified bundle of this folder or zip; its copy is deleted after the block.

    Digests come first, then what each file holds. Nothing of it is run or unpickled, and its graphs
    (pt2, ONNX) are not even opened: the network is rebuilt from weights and parameters.

    Raises:
        BundleError: a file is missing, too many, damaged, or could do harm.
        PipelineError: there is no such bundle, or it cannot be read.
    """
    with temporary_folder() as folder:
        try:
            with opened(bundle) as source:
                _copy(source, folder)
        except OSError as error:
            raise PipelineError(
                f"a bundle must be readable, and there must be room for a copy, got {error}: "
                "correct the path or its permissions, or make room"
            ) from error
        names = sorted(_files(folder))
        check_files(folder, names)
        summary, contents = read_summary(folder), read_contents(folder)
        check_semantics(contents, summary)
        rebuilt = rebuild(
            contents.run.parameters,
            weights=folder / layout.STATE_DICT,
            example=folder / layout.EXAMPLE,
        )
        if (summary.input_shape, summary.output_shape) != (rebuilt.inputs, rebuilt.outputs):
            raise BundleError(layout.SUMMARY, "shapes that its network does not have")
        yield Bundle(
            folder=folder,
            digest=digest(folder / layout.SUMS),
            summary=summary,
            contents=contents,
            rebuilt=rebuilt,
        )


def _files(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]


def _copy(source: Source, folder: Path) -> None:
    """Copy the files that SHA256SUMS names, if these are all there are, verifying each.

    Raises:
        BundleError: the list or a digest differs from what is there.
    """
    if source.sizes.get(layout.SUMS, _MOST_SUMS) >= _MOST_SUMS:
        raise BundleError(layout.SUMS, "a missing or oversized file")
    _copy_one(source, layout.SUMS, folder)
    try:
        sums = parse_sums((folder / layout.SUMS).read_text("utf-8"))
    except UnicodeDecodeError as error:
        raise BundleError(layout.SUMS, "bytes that are not text") from error
    for name in sorted(sums.keys() - source.sizes.keys()):
        raise BundleError(name, "no such file")
    for name in sorted(source.sizes.keys() - sums.keys() - {layout.SUMS}):
        raise BundleError(name, f"a file that {layout.SUMS} does not name")
    layout.check_list(sums)
    for name, expected in sums.items():
        if _copy_one(source, name, folder) != expected:
            raise BundleError(name, "bytes that do not match the digest")


def _copy_one(source: Source, name: str, folder: Path) -> str:
    """Copy one file, of no more bytes than were announced, and return its SHA-256."""
    running, left = hashlib.sha256(), source.sizes[name]
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with source.open(name) as file, target.open("xb") as copy:
            while chunk := file.read(min(_CHUNK, left + 1)):
                left -= len(chunk)
                if left < 0:
                    raise BundleError(name, "more bytes than announced")
                running.update(chunk)
                copy.write(chunk)
    except BROKEN as error:
        raise BundleError(name, f"damaged bytes ({error or type(error).__name__})") from error
    return running.hexdigest()
