"""Whether an ONNX file holds all of its tensors itself, read byte by byte without a library.

Whoever runs a file that refers to others makes its reader open them. It must not import onnx,
which only those have who export.
"""

from collections.abc import Iterator
from pathlib import Path

_MOST_BYTES = 2 << 30
_MOST_DEPTH = 12

# onnx.proto3 at IR version 10: for each message the fields that lead to a tensor, and to which
# message. Training information and functions of its own are not among what export writes.
_PARTS = {
    "model": {7: "graph"},
    "graph": {1: "node", 5: "tensor"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph"},
    "tensor": {},
}
_REFUSED = {
    "model": {20: "training steps", 25: "functions of its own"},
    "graph": {15: "sparse tensors"},
    "attribute": {22: "sparse tensors", 23: "sparse tensors"},
    "tensor": {13: "a tensor in another file", 14: "a tensor in another file"},
}


def check_onnx(path: Path) -> None:
    """Return if the file is a model whose tensors are all inside it.

    Raises:
        ValueError: it is no such model, or refers to another file.
    """
    if path.stat().st_size > _MOST_BYTES:
        raise ValueError(f"more than {_MOST_BYTES >> 30} GiB")
    content = memoryview(path.read_bytes())
    fields = {number for number, _ in _fields(content)}
    if not {1, 7, 8} <= fields:
        raise ValueError("bytes that are no ONNX model")
    _check(content, "model", 0)


def _check(content: memoryview, kind: str, depth: int) -> None:
    if depth > _MOST_DEPTH:
        raise ValueError("graphs nested too deeply")
    refused, parts = _REFUSED.get(kind, {}), _PARTS[kind]
    for number, value in _fields(content):
        if number in refused:
            raise ValueError(refused[number])
        if number in parts:
            if value is None:
                raise ValueError("bytes that are no ONNX model")
            _check(value, parts[number], depth + 1)


def _fields(content: memoryview) -> Iterator[tuple[int, memoryview | None]]:
    """Each field of a protocol-buffer message: its number, and its bytes where it has some."""
    at = 0
    while at < len(content):
        key, at = _varint(content, at)
        value = None
        match key & 7:
            case 0:
                _, at = _varint(content, at)
            case 1:
                at += 8
            case 2:
                length, at = _varint(content, at)
                value = content[at : at + length]
                at += length
            case 5:
                at += 4
            case _:
                raise ValueError("bytes that are no ONNX model")
        if at > len(content):
            raise ValueError("a file that was cut short")
        yield key >> 3, value


def _varint(content: memoryview, at: int) -> tuple[int, int]:
    """A number in base 128, lowest digits first, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(content):
            break
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a file that was cut short")
