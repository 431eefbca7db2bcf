"""SHA256SUMS: the digests of a bundle's files, as `sha256sum -c` reads them."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from pipeline.bundle.layout import SUMS, BundleError, check_names

_LINE = re.compile(r"([0-9a-f]{64})  (.+)")


def digest(path: Path) -> str:
    """The SHA-256 of a file, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sums_text(folder: Path, names: list[str]) -> str:
    """The text of SHA256SUMS for these files below a folder, in the order of their names."""
    return "".join(f"{digest(folder / name)}  {name}\n" for name in sorted(names))


def parse_sums(text: str) -> Mapping[str, str]:
    """The digest of each file by its name.

    Raises:
        BundleError: a line is not a digest and a name, a name is invalid, or one is repeated.
    """
    found: dict[str, str] = {}
    for line in text.removesuffix("\n").split("\n"):
        match = _LINE.fullmatch(line)
        if match is None:
            raise BundleError(SUMS, "a line that is not a digest and a name")
        value, name = match.groups()
        if name in found or name == SUMS:
            raise BundleError(name, f"a second digest, or one of {SUMS} itself,")
        found[name] = value
    check_names(found)
    return found
