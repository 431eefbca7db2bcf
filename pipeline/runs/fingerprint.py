"""Identifies a result: with the same fingerprint, computing it again gives the same."""

import hashlib
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path

# The code that decides a trained network's numbers; code that only shows them does not count.
_DECIDING = (
    "why_zero/causes.py",
    "why_zero/states.py",
    "why_zero/identities.py",
    "why_zero/records.py",
    "pipeline/data",
    "pipeline/training",
    "pipeline/records",
    "pipeline/config/recipe.py",  # which layers have a ReLU and dropout
    "pipeline/runs/answers.py",
)


def fingerprint(*parts: str, rooms: Sequence[str] = ()) -> str:
    """A digest of the code that decides, torch's version and these parts, 32 hexadecimal digits.

    Args:
        parts: settings, input digests, the device: everything the result depends on.
        rooms: which also decide the result, such as `pipeline/toy`.
    """
    return _digest([_code(tuple(rooms)), version("torch"), *parts])


def code_digest(root: Path, *, rooms: Sequence[str] = ()) -> str:
    """A digest of the Python files that decide, their names included.

    Args:
        root: the folder that both packages are in.
        rooms: as in `fingerprint`.
    """
    places = [root / place for place in (*_DECIDING, *rooms)]
    files = sorted(
        file for place in places for file in (place.rglob("*.py") if place.is_dir() else [place])
    )
    return _digest(f"{file.relative_to(root)}\n{file.read_text('utf-8')}" for file in files)


@cache
def _code(rooms: tuple[str, ...]) -> str:
    return code_digest(Path(__file__).parents[2], rooms=rooms)


def _digest(parts: Iterable[str]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(8, "big") + encoded)
    return digest.hexdigest()
