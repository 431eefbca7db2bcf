"""Checks files against published digests."""

import hashlib
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.data.idx import TYPE_CODES, Numbers
from pipeline.data.paths import is_file
from pipeline.errors import PipelineError

CHECKSUMS = "SHA256SUMS"


def content_digest(array: Numbers) -> str:
    """The SHA-256 of the uncompressed IDX file that holds this array."""
    code = 0x08 if array.dtype == np.uint8 else 0x0C
    digest = hashlib.sha256(struct.pack(f">HBB{array.ndim}I", 0, code, array.ndim, *array.shape))
    content = np.ascontiguousarray(array, dtype=TYPE_CODES[code])
    digest.update(content.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def verify_published(
    name: str, paths: Sequence[Path], *, arrays: Sequence[Numbers], sha256: Sequence[str]
) -> None:
    """Raise PipelineError unless the arrays are those of the published data set.

    Args:
        name: of the data set.
        paths: the files they were read from.
        arrays: what was in them.
        sha256: of the uncompressed published files.
    """
    for path, array, published in zip(paths, arrays, sha256, strict=True):
        found = content_digest(array)
        if found != published:
            raise PipelineError(
                f"{name} must be the published files (SHA-256 {published[:12]}…), got "
                f"{found[:12]}… in {path}: fetch it again, or give your own data another name"
            )


def verify_checksums(folder: Path, paths: Sequence[Path]) -> None:
    """Raise PipelineError unless the files are as the folder's SHA256SUMS says, if it has one.

    Args:
        folder: where the list may be, as `sha256sum` writes it.
        paths: the files as they lie there, gzipped ones as they are.
    """
    checksums = folder / CHECKSUMS
    if not is_file(checksums):
        return
    try:
        lines = checksums.read_text(encoding="utf-8").splitlines()
        # "digest  name", or "digest *name" for a file that was read as binary.
        listed = {line[66:]: line[:64].lower() for line in lines}
        for path in paths:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
            promised = listed.get(path.name, "no line")
            if promised != found:
                raise PipelineError(
                    f"{checksums} must list {path.name} with its SHA-256 {found[:12]}…, got "
                    f"{promised[:12]}: fetch the file again or correct the list"
                )
    except (OSError, UnicodeDecodeError) as error:
        raise PipelineError(
            f"{checksums} and the files it lists must be readable, got {error}: "
            "correct or remove the list"
        ) from error
