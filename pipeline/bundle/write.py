"""Puts a bundle in its place, as a folder or a zip: whole, or not at all."""

import os
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.bundle import layout
from pipeline.bundle.digests import parse_sums, sums_text
from pipeline.bundle.files import write_text
from pipeline.errors import PipelineError
from pipeline.files import NO_ROOM, beside, remove_left, replace_folder

_DATE = (
    1980,
    1,
    1,
    0,
    0,
    0,
)  # the earliest time in a zip, so that one bundle always gives the same file


@contextmanager
def new_bundle(out: Path, *, is_forced: bool) -> Iterator[Path]:
    """An empty folder to fill; after the block it is at `out`, with its SHA256SUMS.

    If the block fails, nothing is left at or next to `out`; what a killed process has left there
    is removed by the next.

    Args:
        out: a folder to make, or a file that ends in .zip.
        is_forced: overwrite an existing bundle, but nothing else.

    Raises:
        PipelineError: `out` exists already, or cannot be written.
    """
    is_zip = out.suffix.lower() == ".zip"
    remove_left(out)
    _check_place(out, is_zip=is_zip, is_forced=is_forced)
    try:
        with beside(out) as work:
            folder = work / "bundle"
            folder.mkdir()
            yield folder
            files = (path for path in folder.rglob("*") if path.is_file())
            names = sorted(path.relative_to(folder).as_posix() for path in files)
            layout.check_names(names)
            write_text(folder / layout.SUMS, sums_text(folder, names))
            if is_zip:
                _pack(folder, [*names, layout.SUMS], work / "zip")
                (work / "zip").replace(out)
            else:
                replace_folder(folder, out, work)
    except OSError as error:
        # Not for errors of the caller's block, such as a file that it cannot read.
        if error.errno not in NO_ROOM and not _is_below(error.filename, out):
            raise
        raise PipelineError(
            f"a bundle needs a writable place with enough room, got {out} "
            f"({error.strerror or error}): give another place or make room"
        ) from error


def _is_below(name: object, out: Path) -> bool:
    """Whether the file that an error names is `out`, its folder, or what is made beside it."""
    path = Path(name) if isinstance(name, str) else None
    if path is None or path in (out, out.parent):
        return path is not None
    return any(
        place.parent == out.parent and place.name.startswith(f".{out.name}.")
        for place in (path, *path.parents)
    )


def is_bundle(path: Path) -> bool:
    """Whether a folder or zip holds a bundle and nothing else."""
    try:
        if path.is_dir():
            sums = parse_sums((path / layout.SUMS).read_text("utf-8"))
            found = {p.relative_to(path).as_posix() for p in path.rglob("*") if not p.is_dir()}
        else:
            with zipfile.ZipFile(path) as archive:
                sums = parse_sums(archive.read(layout.SUMS).decode("utf-8"))
                found = set(archive.namelist())
    except (OSError, KeyError, ValueError, zipfile.BadZipFile, PipelineError):
        return False
    return found == {*sums, layout.SUMS} and layout.SUMMARY in sums


def _check_place(out: Path, *, is_zip: bool, is_forced: bool) -> None:
    if not os.path.lexists(out):
        return
    if not is_forced:
        raise PipelineError(
            f"out must not exist yet, got {out}: give another name, or force=true to replace "
            "the bundle"
        )
    if out.is_symlink() or out.is_dir() == is_zip or not is_bundle(out):
        raise PipelineError(
            f"only a bundle can be replaced, got {out}, which is no bundle or holds more: "
            "give another name"
        )


def _pack(folder: Path, names: list[str], path: Path) -> None:
    """Write these files into a zip; the same files give the same bytes."""
    with path.open("xb") as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
            for name in names:
                entry = zipfile.ZipInfo(name, _DATE)
                entry.create_system, entry.external_attr = 3, (stat.S_IFREG | 0o644) << 16
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, (folder / name).read_bytes())
        file.flush()
        os.fsync(file.fileno())
