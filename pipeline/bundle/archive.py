"""The files of an untrusted bundle, as a folder or a zip."""

import errno
import os
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pipeline.bundle.layout import BundleError, check_names
from pipeline.errors import PipelineError

MOST_FILES = 10_000
MOST_BYTES = 4 << 30
# Deflate reaches 1032 to 1; a chart of one colour or a list of zeros stays below this.
MOST_RATIO = 500
_FREE_BYTES = 1 << 20

# What zipfile and zlib raise for bytes that are not an archive, or for a manipulated one.
BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)


@dataclass(frozen=True)
class Source:
    """A bundle's files.

    Attributes:
        sizes: how many bytes each has, by its name.
        open: opens one by its name, for its bytes.
    """

    sizes: Mapping[str, int]
    open: Callable[[str], IO[bytes]]


@contextmanager
def opened(bundle: Path) -> Iterator[Source]:
    """The files in a folder or a zip; what cannot belong to a bundle is refused unread.

    Raises:
        BundleError: a link, a device, an encrypted or overlong entry, a name that leads out.
        PipelineError: there is no such folder or zip, or it is broken.
    """
    if bundle.is_dir():
        yield Source(_checked(_folder_sizes(bundle)), lambda name: _regular(bundle / name))
        return
    try:
        if bundle.exists() and not bundle.is_file():  # a pipe would be waited for
            raise ValueError("a device")
        archive = zipfile.ZipFile(bundle)
        sizes = _checked(_zip_sizes(archive))
    except (*BROKEN, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise PipelineError(
            f"a bundle must be a complete folder or .zip, got {bundle} ({reason.splitlines()[0]}): "
            "nothing was written; give the path that export wrote, or fetch it again"
        ) from error
    # Outside of that: an error in the caller's block, such as a full disk, is not damage.
    with archive:
        yield Source(sizes, archive.open)


def _checked(sizes: Mapping[str, int]) -> Mapping[str, int]:
    """The sizes, if the names are valid and there are not too many files or bytes."""
    if len(sizes) > MOST_FILES:
        raise BundleError("it", f"{len(sizes)} files, more than {MOST_FILES},")
    check_names(sizes)
    if sum(sizes.values()) > MOST_BYTES:
        largest = max(sizes, key=lambda name: sizes[name])
        raise BundleError(largest, f"more than {MOST_BYTES >> 30} GiB, {sizes[largest]} bytes")
    return sizes


def _regular(path: Path) -> IO[bytes]:
    """The opened file, if it still is one: it may have been replaced since it was looked at.

    Raises:
        BundleError: it is a link or a device by now.
    """
    # Names that Windows does not have; without waiting for whoever may write to a pipe.
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        file = os.fdopen(os.open(path, flags | getattr(os, "O_BINARY", 0)), "rb")
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENXIO}:
            raise BundleError(path.name, "a link or a device") from error
        raise
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise BundleError(path.name, "a link or a device")
    return file


def _folder_sizes(root: Path) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for folder, folders, files in os.walk(root):
        for entry in (Path(folder) / name for name in sorted(folders + files)):
            name = entry.relative_to(root).as_posix()
            status = entry.lstat()
            if stat.S_ISDIR(status.st_mode):
                continue
            if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
                raise BundleError(name, "a link or a device")
            sizes[name] = status.st_size
            if len(sizes) > MOST_FILES:
                return sizes
    return sizes


def _zip_sizes(archive: zipfile.ZipFile) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for entry in archive.infolist():
        name = entry.orig_filename  # as it is written: zipfile cuts a name at NUL
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if not entry.filename:
            raise BundleError(name, "a file without a name")
        if name in sizes:
            raise BundleError(name, "a second file with this name")
        if kind not in (0, stat.S_IFREG) or entry.is_dir():
            raise BundleError(name, "a link, a folder or a device")
        if entry.flag_bits & 0x1:
            raise BundleError(name, "an encrypted file")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise BundleError(name, f"compression type {entry.compress_type}")
        if entry.file_size > max(_FREE_BYTES, MOST_RATIO * entry.compress_size):
            raise BundleError(name, f"{entry.file_size} bytes out of {entry.compress_size}")
        sizes[name] = entry.file_size
    return sizes
