"""Which names are valid file names, and which paths exist."""

from pathlib import Path

from pipeline.errors import UsageError


def check_name(name: str) -> None:
    """Raise UsageError unless the name of a data set can be a file's stem on every system."""
    forbidden = set('<>:"/\\|?*')
    is_plain = name.isprintable() and not forbidden & set(name) and name == name.strip(" .")
    if not is_plain or not 1 <= len(name.encode()) <= 100:
        raise UsageError(
            f"a data set's name must be usable as a file name, got {name!r}: "
            "give 1 to 100 letters, digits or hyphens"
        )


def is_file(path: Path) -> bool:
    """Whether a file exists here; `Path.is_file` raises if a folder cannot be searched."""
    try:
        return path.is_file()
    except OSError:
        return False


def is_folder(path: Path) -> bool:
    """Whether a folder exists here."""
    try:
        return path.is_dir()
    except OSError:
        return False
