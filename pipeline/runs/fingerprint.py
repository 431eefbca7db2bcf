"""What identifies a result: the same fingerprint means that computing again gives the same."""

import hashlib
from functools import cache
from importlib.metadata import version
from pathlib import Path

_SOURCES = frozenset({".py", ".html", ".css", ".js", ".json"})


def fingerprint(*parts: str) -> str:
    """A digest of the package's code, torch's version and these parts, 32 hexadecimal digits.

    Args:
        parts: settings, digests of what is read, the device: all that the result depends on.
    """
    return _digest([_code(), version("torch"), *parts])


@cache
def _code() -> str:
    """A digest of the package's source files, their names included."""
    root = Path(__file__).parents[1]
    paths = sorted(path for path in root.rglob("*") if path.suffix in _SOURCES)
    return _digest([f"{path.relative_to(root)}\n{path.read_text('utf-8')}" for path in paths])


def _digest(parts: list[str]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(8, "big") + encoded)
    return digest.hexdigest()
