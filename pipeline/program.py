"""Which program this is: two machines that agree on it compute the same numbers on one device."""

import hashlib
from functools import cache
from importlib.metadata import version
from pathlib import Path

import pipeline
import why_zero


@cache
def program() -> dict[str, str]:
    """Versions, and a digest of all of the source as it was first read, 16 hexadecimal digits."""
    digest = hashlib.blake2b(digest_size=8)
    for package in (pipeline, why_zero):
        root = Path(str(package.__file__)).parent
        for file in sorted(root.rglob("*.py")):
            digest.update(f"{file.relative_to(root)}\n".encode() + file.read_bytes())
    return {
        "why-zero": pipeline.__version__,
        "torch": version("torch"),
        "source": digest.hexdigest(),
    }
