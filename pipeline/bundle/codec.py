"""Records as JSON and back, strictly: what does not fit its record is refused."""

import json
import math
import re
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

_SURROGATE = re.compile("[\ud800-\udfff]")
_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


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
        ValueError: the text is no JSON, names a key twice, or is not of this kind.
    """
    return _typed(kind, strict_json(text), "it")


def strict_json(text: str | bytes) -> Any:  # noqa: ANN401 - JSON is anything
    """The value of a JSON text, without what only Python's reader takes.

    Raises:
        ValueError: the text is no JSON, is nested too deeply, or names a key twice.
    """
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


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _typed(kind: Any, value: Any, where: str) -> Any:  # noqa: ANN401 - types are values here
    """The value as this kind, which may be a record, a mapping, a tuple or a plain type."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        [some] = [each for each in inner if each is not types.NoneType]
        return None if value is None else _typed(some, value, where)
    if is_dataclass(kind):
        return _record(kind, value, where)
    if origin is Mapping:
        if not isinstance(value, dict):
            raise ValueError(f"{where}, which is not a mapping")
        return {
            _scalar(str, key, where): _typed(inner[1], item, where) for key, item in value.items()
        }
    if origin is tuple:
        if not isinstance(value, list):
            raise ValueError(f"{where}, which is not a list")
        kinds = inner[:1] * len(value) if inner[-1] is Ellipsis else inner
        if len(value) != len(kinds):
            raise ValueError(f"{where}, which is not a list of {len(kinds)}")
        return tuple(_typed(*pair, where) for pair in zip(kinds, value, strict=True))
    return _scalar(kind, value, where)


def _record(kind: Any, value: Any, where: str) -> Any:  # noqa: ANN401
    hints = _hints(kind)
    if not isinstance(value, dict) or value.keys() != hints.keys():
        raise ValueError(f"{where} without exactly the keys {', '.join(sorted(hints))}")
    return kind(**{name: _typed(hint, value[name], name) for name, hint in hints.items()})


def _scalar(kind: type, value: Any, where: str) -> Any:  # noqa: ANN401
    if kind is float and isinstance(value, str) and value in _NOT_FINITE:
        return _NOT_FINITE[value]
    if kind is float and type(value) is int and abs(value) < 2**53:
        return float(value)
    if type(value) is not kind:
        raise ValueError(f"{where}, which is not of type {kind.__name__}")
    if isinstance(value, str) and ("\0" in value or _SURROGATE.search(value)):
        raise ValueError(f"{where} with invalid characters")
    return value
