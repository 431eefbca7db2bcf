"""Changes of bytes and of JSON, drawn from a generator: the same numbers give the same changes."""

import random
from collections.abc import Sequence
from typing import Any

# Where sizes and counts overflow, and what is next to it.
_EDGES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_ODD: tuple[object, ...] = (
    None, True, -1, 0, 2**63, -(2**63), 1e308, float("nan"), float("inf"), "", "\0", "../x",
    "a" * 999,
    "\ud800", "[/x]", "<b>", [], {}, [[]], {"": None}, "1e999999", "9" * 5000,
)  # fmt: skip
_DEEP = 2000
_LONG = 100_000  # letters


def mutated(data: bytes, source: random.Random, others: Sequence[bytes]) -> bytes:
    """The bytes after one to four changes."""
    for _ in range(source.randint(1, 4)):
        data = _change(data, source, others)
    return data


def _change(data: bytes, source: random.Random, others: Sequence[bytes]) -> bytes:  # noqa: PLR0911 - a list of changes
    place = source.randrange(len(data) + 1)
    length = 1 << source.randrange(8)
    head, tail = data[:place], data[place:]
    match source.randrange(9):
        case 0 if tail:  # a bit
            return head + bytes([tail[0] ^ 1 << source.randrange(8)]) + tail[1:]
        case 1 if tail:
            return head + source.randbytes(1) + tail[1:]
        case 2:
            return head + source.randbytes(length) + tail
        case 3:
            return head + tail[length:]
        case 4:
            return head
        case 5:
            return head + tail[:length] * source.randint(2, 9) + tail[length:]
        case 6:  # a number of two or four bytes, in either order
            size = source.choice((2, 4))
            number = source.choice(_EDGES) & (256**size - 1)
            order = source.choice(("big", "little"))
            return head + number.to_bytes(size, order) + tail[size:]
        case 7:
            other = source.choice(others)
            return head + other[source.randrange(len(other) + 1) :]
        case _:
            return source.randbytes(place % 8) + tail


def _is_long(value: object) -> bool:
    try:
        return len(str(value)) > _LONG
    except RecursionError:
        return True


def mutated_json(value: Any, source: random.Random) -> Any:  # noqa: ANN401 - JSON
    """A value of JSON with one part replaced, removed, nested deeply or doubled."""
    if isinstance(value, dict) and value and source.random() < 0.9:
        key = source.choice(list(value))
        changed = {**value, key: mutated_json(value[key], source)}
        match source.randrange(12):
            case 0:
                del changed[key]
            case 1:
                changed[str(source.choice(_ODD))] = changed.pop(key)
        return changed
    if isinstance(value, list) and value and source.random() < 0.9:
        place = source.randrange(len(value))
        part, times = mutated_json(value[place], source), source.choice((0, 1, 1, 1, 2, 50))
        if times > 1 and _is_long(part):
            times = 1  # or the input itself does not fit into memory
        return [*value[:place], *[part] * times, *value[place + 1 :]]
    if isinstance(value, str) and source.random() < 0.5:
        text = value.encode("utf-8", "surrogatepass")
        return mutated(text, source, [text]).decode("utf-8", "replace")
    if source.random() < 0.02:
        deep: Any = value
        for _ in range(_DEEP):
            deep = [deep]
        return deep
    return source.choice(_ODD)
