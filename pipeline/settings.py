"""How a setting is declared: its default, its kind and its help, written once.

Command line, MLproject and README are derived from these declarations. It must not know torch,
numpy or MLflow: `--help` has to answer at once.
"""

import math
from collections.abc import Callable
from dataclasses import Field, dataclass, field, fields
from typing import Any, TypeVar

from pipeline.errors import UsageError

T = TypeVar("T")


@dataclass(frozen=True)
class Kind:
    """What values a setting takes.

    Attributes:
        metavar: how help names such a value.
        rule: the sentence after "NAME must be", for whoever gave another value.
        parse: the value of a text; ValueError where it breaks the rule.
    """

    metavar: str
    rule: str
    parse: Callable[[str], Any]


def setting(default: T, kind: Kind, text: str) -> T:
    """A dataclass field with this default, kind and help text."""
    made: T = field(default=default, metadata={"kind": kind, "help": text})
    return made


def declared(settings: type) -> list[tuple[Field[Any], Kind, str]]:
    """Every setting of a settings class with its kind and help, in order."""
    return [
        (item, item.metadata["kind"], item.metadata["help"])
        for item in fields(settings)
        if "kind" in item.metadata
    ]


def parsed(settings: type[T], texts: dict[str, str]) -> T:
    """The settings that these texts ask for.

    Raises:
        UsageError: a text breaks its setting's rule.
    """
    values = {}
    for item, kind, _ in declared(settings):
        if item.name not in texts:
            continue
        text = texts[item.name]
        try:
            values[item.name] = kind.parse(text.strip())
        except ValueError:
            raise UsageError(f"{item.name} must be {kind.rule}, got {text!r}") from None
    return settings(**values)


def texts(settings: object) -> dict[str, str]:
    """Every declared setting of these settings as canonical text."""
    kinds = declared(type(settings))
    return {item.name: canonical(getattr(settings, item.name)) for item, _, _ in kinds}


def canonical(value: object) -> str:
    """One text for each value: 0.5 for 0.50, `true`/`false`, sequences with commas."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    if isinstance(value, tuple):
        return ",".join(canonical(item) for item in value)
    return str(value)


def _number(is_allowed: Callable[[float], bool]) -> Callable[[str], float]:
    def parse(text: str) -> float:
        value = float(text)
        if not (math.isfinite(value) and is_allowed(value)):
            raise ValueError(text)
        return value + 0.0  # -0 and 0 are one value

    return parse


def _integer(least: int, most: int = 2**63 - 1) -> Callable[[str], int]:
    def parse(text: str) -> int:
        value = int(text)
        if not least <= value <= most:
            raise ValueError(text)
        return value

    return parse


def _list_of(parse: Callable[[str], T]) -> Callable[[str], tuple[T, ...]]:
    return lambda text: tuple(parse(part.strip()) for part in text.split(","))


def _one_of(choices: tuple[str, ...]) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(text)
        return text

    return parse


def _device(text: str) -> str:
    kind, colon, index = text.partition(":")
    if text in {"auto", "cpu", "cuda", "mps"}:
        return text
    if kind == "cuda" and colon and str(int(index)) == index and 0 <= int(index) < 128:
        return text
    raise ValueError(text)


def _text(text: str) -> str:
    if not text:
        raise ValueError(text)
    return text


def choice(*choices: str) -> Kind:
    """One of these words."""
    return Kind("|".join(choices), f"one of {', '.join(choices)}", _one_of(choices))


_is_rate = _number(lambda value: 0 <= value < 1)
RATE = Kind("RATE", "a number in [0, 1)", _is_rate)
RATES = Kind("RATE,…", "numbers in [0, 1) with commas between them", _list_of(_is_rate))
POSITIVE = Kind("NUMBER", "a number above 0", _number(lambda value: value > 0))
NOT_NEGATIVE = Kind("NUMBER", "a number of at least 0", _number(lambda value: value >= 0))
COUNT = Kind("N", "a whole number of at least 0", _integer(0))
POSITIVE_COUNT = Kind("N", "a whole number of at least 1", _integer(1))
WIDTHS = Kind("N,…", "whole numbers of at least 1 with commas between them", _list_of(_integer(1)))
DEVICE = Kind("DEVICE", "auto, cpu, cuda, cuda:N or mps", _device)
TEXT = Kind("TEXT", "a text that is not empty", _text)
YES_OR_NO = Kind(
    "true|false",
    "true or false",
    lambda text: {"true": True, "false": False}[_one_of(("true", "false"))(text.lower())],
)
