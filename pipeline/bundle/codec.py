"""Records as JSON and back, strictly: what does not match its record is refused."""

import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, ConfigDict, TypeAdapter, ValidationError

# A list of nothing takes three bytes of text and sixty of memory. Enough for a million points.
MOST_VALUES = 5_000_000
_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("invalid characters")
    return text


def _number(value: object) -> object:
    return _NOT_FINITE.get(value, value) if isinstance(value, str) else value


# What every record is, and what its texts and numbers are: see `encode`.
STRICT = ConfigDict(extra="forbid")
Text = Annotated[str, AfterValidator(_without_nul)]
Number = Annotated[float, BeforeValidator(_number)]

_adapter = cache(TypeAdapter)


def encode(value: object) -> str:
    """JSON of a record or of mappings, tuples and plain values; the same text for the same value.

    Numbers that are not finite become the texts `NaN`, `Infinity` and `-Infinity`.
    """
    text = json.dumps(_plain(value), ensure_ascii=False, indent=1, sort_keys=True, allow_nan=False)
    return f"{text}\n"


def decode(kind: Any, text: str | bytes) -> Any:  # noqa: ANN401 - a type in, a value of it out
    """The record, or the mapping of a type, that a JSON text holds.

    Args:
        kind: a record's class, or a type such as `Mapping[str, str]`.
        text: JSON.

    Raises:
        ValueError: the text is not JSON, repeats a key, or is not of this kind.
    """
    strict_json(text)  # pydantic's own reader takes NaN, and a key that is given twice
    try:
        return _adapter(kind).validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "it"
        raise ValueError(f"{where}: {first['msg']}") from None


def strict_json(text: str | bytes) -> Any:  # noqa: ANN401 - JSON is anything
    """The value of a JSON text, without what only Python's reader takes.

    Raises:
        ValueError: the text is not JSON, is nested too deeply, repeats a key, or holds more than
            `MOST_VALUES` values.
    """
    content = text.encode() if isinstance(text, str) else text
    if sum(map(content.count, (b",", b"[", b"{"))) > MOST_VALUES:
        raise ValueError(f"more than {MOST_VALUES:,} values")
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("JSON nested too deeply") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key given twice")
    return found


def _no_constant(text: str) -> float:
    raise ValueError(f"the number {text}")


def _plain(value: object) -> object:
    if is_dataclass(value):
        return {item.name: _plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value
