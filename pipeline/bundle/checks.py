"""What each file of a bundle must hold, judged by its name, without trusting a byte of it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from safetensors import SafetensorError, safe_open

from pipeline.bundle import layout
from pipeline.bundle.codec import strict_json
from pipeline.bundle.layout import BundleError
from pipeline.bundle.pages import predict_script

_MOST_JSON = 128 << 20
_MOST_TEXT = 64 << 20


def check_files(folder: Path, names: Sequence[str]) -> None:
    """Return if every file holds what its name says and none can do harm when it is opened.

    Args:
        folder: where the files are.
        names: of all files, relative to it.

    Raises:
        BundleError: the first file that does not.
    """
    for name in names:
        try:
            _check_of(name)(folder / name)
        except (ValueError, OSError, SafetensorError) as error:
            raise BundleError(name, _one_line(error)) from error


def takes(name: str) -> bool:
    """Whether bundles hold artifacts with this name, that is, whether there is a check for them."""
    return PurePosixPath(name).suffix.lower() in _OF_SUFFIX


def _check_of(name: str) -> Callable[[Path], object]:
    if name in _OF_NAME:
        return _OF_NAME[name]
    suffix = PurePosixPath(name).suffix.lower()
    if suffix not in _OF_SUFFIX:
        raise ValueError(f"a file of type {suffix or '(none)'}")
    return _OF_SUFFIX[suffix]


def _one_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__


def _check_tensors(path: Path) -> None:
    with safe_open(path, framework="numpy"):
        pass  # its header is checked against the file's length as it is opened


def _check_json(path: Path) -> None:
    strict_json(_read(path, _MOST_JSON))


def _check_text(path: Path) -> None:
    try:
        text = _read(path, _MOST_TEXT).decode()
    except UnicodeDecodeError:
        raise ValueError("bytes that are not text") from None
    if "\0" in text:
        raise ValueError("bytes that are not text")


def _begins(*starts: bytes, kind: str) -> Callable[[Path], None]:
    def check(path: Path) -> None:
        with path.open("rb") as file:
            head = file.read(16)
        if not any(head.startswith(start) for start in starts):
            raise ValueError(f"bytes that are not {kind}")

    return check


def _check_script(path: Path) -> None:
    """Whoever unpacks a bundle may run this file, so it must be the package's own."""
    if _read(path, _MOST_TEXT) != predict_script().encode():
        raise ValueError("a program that export did not write")


def _check_nothing(path: Path) -> None:
    """A model's files are never opened: import rewrites them."""


def _read(path: Path, most: int) -> bytes:
    if path.stat().st_size > most:
        raise ValueError(f"more than {most} bytes")
    return path.read_bytes()


_OF_NAME: Mapping[str, Callable[[Path], object]] = {
    layout.SUMS: _check_text,
    layout.PREDICT: _check_script,
    **dict.fromkeys((layout.ONNX, *layout.MODEL_FILES), _check_nothing),
    layout.EXAMPLE: _check_json,
}
_OF_SUFFIX: Mapping[str, Callable[[Path], object]] = {
    ".safetensors": _check_tensors,
    ".json": _check_json,
    ".png": _begins(b"\x89PNG\r\n\x1a\n", kind="PNG"),
    ".webp": _begins(b"RIFF", kind="WebP"),
    **dict.fromkeys((".md", ".txt", ".csv", ".html", ".svg"), _check_text),
}
