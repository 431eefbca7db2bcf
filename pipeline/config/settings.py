"""How a setting is declared: its default, its kind and its help, written once.

The command line and MLproject are derived from these declarations. It must not import torch,
numpy or MLflow: `--help` has to answer at once.
"""

import itertools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields
from decimal import Decimal
from typing import Any, TypeVar

from pipeline.errors import UsageError

T = TypeVar("T")
MOST_VALUES = 10_000  # in one range: more is a typo, and would fill the memory


@dataclass(frozen=True)
class Kind:
    """The values that a setting accepts.

    Attributes:
        metavar: the name of such a value in the help.
        rule: the text after "NAME must be" in an error message.
        parse: turns a text into a value; ValueError if it breaks the rule.
        words: the values, where they can be listed.
        is_list: several of them may be given, separated by commas.
        is_path: a file or folder may be given.
        meant: what a text that breaks the rule was most likely meant to be; None if unknown.
    """

    metavar: str
    rule: str
    parse: Callable[[str], Any]
    words: tuple[str, ...] = ()
    is_list: bool = False
    is_path: bool = False
    meant: Callable[[str], str | None] = lambda _: None


def setting(default: T, kind: Kind, text: str) -> T:
    """A dataclass field with this default, kind and help text."""
    made: T = field(default=default, metadata={"kind": kind, "help": text})
    return made


def arguments(kind: Kind, count: int = -1) -> Any:  # noqa: ANN401 - as `field`
    """A dataclass field for positional arguments; a class has at most one.

    The class's own help explains it. `MLproject` has only named values: it omits such a step,
    unless one text may hold several.

    Args:
        kind: of each value; one that is a list gives several.
        count: how many there are; -1 for one or more, 0 for at most one.
    """
    return field(default=(), metadata={"each": kind, "count": count})


def name_of(item: Field[Any]) -> str:
    """The setting's public name: `from` for `from_`, which is reserved in Python."""
    return item.name.removesuffix("_")


def declared(settings: type) -> list[tuple[Field[Any], Kind, str]]:
    """Every setting of a settings class with its kind and help, in order."""
    return [
        (item, item.metadata["kind"], item.metadata["help"])
        for item in fields(settings)
        if "kind" in item.metadata
    ]


def argument(settings: type) -> tuple[Field[Any], Kind] | None:
    """The field that `arguments` made, with the kind of each value; None if there is none."""
    found = (item for item in fields(settings) if "each" in item.metadata)
    return next(((item, item.metadata["each"]) for item in found), None)


def parsed(settings: type[T], texts: Mapping[str, str], values: Sequence[str] = ()) -> T:
    """Parse settings from texts.

    Args:
        settings: a settings class.
        texts: by the settings' names; missing ones have their defaults.
        values: positional arguments, for a class that takes them.

    Raises:
        UsageError: a text breaks its setting's rule.
    """
    for name, text in texts.items():
        if any("\ud800" <= letter <= "\udfff" for letter in text):
            raise UsageError(f"{name} must be text in UTF-8, got {text!a}")
    chosen: dict[str, Any] = {
        item.name: _value(item, kind, texts[name_of(item)].strip())
        for item, kind, _ in declared(settings)
        if name_of(item) in texts
    }
    if taken := argument(settings):
        item, kind = taken
        if len(values) > 1 and item.metadata["count"] == 0:
            raise UsageError(f"{item.name} must be at most one, got {' '.join(map(repr, values))}")
        read = [_value(item, kind, text) for text in values]
        chosen[item.name] = tuple(itertools.chain(*read) if kind.is_list else read)
    return settings(**chosen)


def _value(item: Field[Any], kind: Kind, text: str) -> Any:  # noqa: ANN401 - as the kind has it
    try:
        return kind.parse(text)
    except ValueError:
        meant = kind.meant(text)
        remedy = f": write {meant}" if meant else ""
        raise UsageError(f"{name_of(item)} must be {kind.rule}, got {text!r}{remedy}") from None


def texts(settings: object) -> dict[str, str]:
    """Every declared setting of these settings as canonical text."""
    kinds = declared(type(settings))
    return {name_of(item): canonical(getattr(settings, item.name)) for item, _, _ in kinds}


class ByLayer(tuple[float, ...]):
    """A number for each layer, written as `0.5-0.5-0.2`."""

    __slots__ = ()


def canonical(value: object) -> str:
    """The canonical text of a value: 0.5 for 0.50, `true`/`false`, sequences with commas.

    Sequences of sequences, such as the widths of several networks, are joined by `/`.
    """
    if isinstance(value, ByLayer):
        return "-".join(canonical(item) for item in value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    if isinstance(value, tuple):
        if value and isinstance(value[0], tuple) and not isinstance(value[0], ByLayer):
            return "/".join(canonical(item) for item in value)
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


def _list_of(parse: Callable[[str], T], *, separator: str = ",") -> Callable[[str], tuple[T, ...]]:
    return lambda text: tuple(parse(part.strip()) for part in text.split(separator))


def _axis_of(parse: Callable[[str], tuple[T, ...]]) -> Callable[[str], tuple[T, ...]]:
    """Lists whose parts may each stand for several values; duplicates are removed."""
    parts = _list_of(parse)
    return lambda text: tuple(dict.fromkeys(itertools.chain.from_iterable(parts(text))))


def _one(parse: Callable[[str], T]) -> Callable[[str], tuple[T, ...]]:
    return lambda text: (parse(text),)


def _numbers(parse: Callable[[str], T]) -> Callable[[str], tuple[T, ...]]:
    """A number, or START:STOP:STEP with the stop included, in decimal arithmetic."""

    def several(text: str) -> tuple[T, ...]:
        if ":" not in text:
            return (parse(text),)
        try:
            start, stop, step = (Decimal(part.strip()) for part in text.split(":"))
            steps = (stop - start) / step
            # Before it is made a whole number, which may have a million digits.
            is_allowed = step > 0 and 0 <= steps < MOST_VALUES
        except ArithmeticError:
            raise ValueError(text) from None
        if not is_allowed:
            raise ValueError(text)
        return tuple(parse(str(start + index * step)) for index in range(int(steps) + 1))

    return several


def _integers(parse: Callable[[str], int]) -> Callable[[str], tuple[int, ...]]:
    """A whole number, or FIRST-LAST with both included."""

    def several(text: str) -> tuple[int, ...]:
        first, dash, last = text.partition("-")
        if not dash:
            return (parse(text),)
        ends = parse(first.strip()), parse(last.strip())
        if not 0 <= ends[1] - ends[0] < MOST_VALUES:
            raise ValueError(text)
        return tuple(range(ends[0], ends[1] + 1))

    return several


def _one_or_by_layer(parse: Callable[[str], float]) -> Callable[[str], float | ByLayer]:
    """A number for all layers, or one for each with dashes between them."""

    def one_or_several(text: str) -> float | ByLayer:
        # Not the dash of 1e-05, nor that of a negative number.
        parts = re.split(r"(?<=[\d.\s])-", text)
        if len(parts) == 1:
            return parse(text)
        return ByLayer(parse(part.strip()) for part in parts)

    return one_or_several


def _one_of(choices: tuple[str, ...]) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(text)
        return text

    return parse


def _init(text: str) -> str:
    """`default`, `he`, or `normal:` with the standard deviation as canonical text."""
    kind, _, sigma = text.partition(":")
    if kind == "normal":
        return f"normal:{canonical(_positive(sigma))}"
    return _one_of(("default", "he"))(text)


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
    return Kind("|".join(choices), f"one of {', '.join(choices)}", _one_of(choices), words=choices)


def choices(*words: str) -> Kind:
    """Some of these words."""
    rule = f"one or more of {', '.join(words)}, separated by commas"
    parse = _axis_of(_one(_one_of(words)))
    return Kind(f"{'|'.join(words)},…", rule, parse, words=words, is_list=True)


def _dashed(text: str) -> str | None:
    """FIRST-LAST for a range that is written with `..`, `:` or `…`."""
    found = re.fullmatch(r"\s*(\d+)\s*(?:\.\.\.?|…|:|–)\s*(\d+)\s*", text)
    return f"{found[1]}-{found[2]}" if found else None


_rate = _number(lambda value: 0 <= value < 1)
_positive = _number(lambda value: value > 0)
_not_negative = _number(lambda value: value >= 0)
_factor = _number(lambda value: 0 < value <= 1)
_width = _integer(1)
_yes_or_no = dict(zip(("true", "false"), (True, False), strict=True))
_RANGE = (
    f"separated by commas, or START:STOP:STEP with STEP above 0 and at most {MOST_VALUES:,} values"
)
RATE = Kind("RATE", "a number in [0, 1)", _rate)
RATES = Kind("RATE,…", f"numbers in [0, 1) {_RANGE}", _axis_of(_numbers(_rate)))
LAYER_RATES = Kind(
    "RATE|RATE-RATE-…",
    "a number in [0, 1), or one for each layer with dashes between them, such as 0.5-0.5-0.2",
    _one_or_by_layer(_rate),
    meant=lambda text: text.replace(",", "-") if "," in text else None,
)
LAYER_RATES_LIST = Kind(
    "RATE|RATE-RATE-…,…",
    f"numbers in [0, 1) {_RANGE}; one for each layer with dashes between them, such as 0.5-0.5-0.2",
    _axis_of(_numbers(_one_or_by_layer(_rate))),
)
POSITIVE = Kind("NUMBER", "a number above 0", _positive)
POSITIVES = Kind("NUMBER,…", f"numbers above 0 {_RANGE}", _axis_of(_numbers(_positive)))
NOT_NEGATIVE = Kind("NUMBER", "a number of at least 0", _not_negative)
COUNT = Kind("N", "a whole number of at least 0", _integer(0))
COUNTS = Kind(
    "N,…",
    "whole numbers from 0 to 2**63 - 1 separated by commas, or FIRST-LAST with at most "
    f"{MOST_VALUES:,} values",
    _axis_of(_integers(_integer(0))),
    meant=_dashed,
)
PASSES = Kind("N", "a whole number from 0 to 100,000", _integer(0, 100_000))
POSITIVE_COUNT = Kind("N", "a whole number of at least 1", _integer(1))
NOT_NEGATIVES = Kind(
    "NUMBER,…", f"numbers of at least 0 {_RANGE}", _axis_of(_numbers(_not_negative))
)
FACTOR = Kind("FACTOR", "a number above 0 and at most 1", _factor)
FACTORS = Kind("FACTOR,…", f"numbers above 0 and at most 1 {_RANGE}", _axis_of(_numbers(_factor)))
WIDTHS = Kind("N,…", "whole numbers of at least 1, separated by commas", _list_of(_width))
SHAPES = Kind(
    "N,…/N,…",
    "whole numbers of at least 1, with commas between layers and / between networks",
    lambda text: tuple(dict.fromkeys(_list_of(_list_of(_width), separator="/")(text))),
)
_DEVICES = ("auto", "cpu", "cuda", "mps")
DEVICE = Kind("DEVICE", "auto, cpu, cuda, cuda:N or mps", _device, words=_DEVICES)
DEVICES = Kind(
    "DEVICE,…",
    "auto, cpu, cuda, cuda:N or mps, separated by commas",
    _axis_of(_one(_device)),
    words=_DEVICES,
    is_list=True,
)
TEXT = Kind("TEXT", "a non-empty text", _text)
TEXTS = Kind("TEXT,…", "non-empty texts, separated by commas", _axis_of(_one(_text)))
PATH = Kind("PATH", "a non-empty text", _text, is_path=True)
NAME_OR_PATH = Kind("NAME|PATH", "a non-empty text", _text, is_path=True)
NAMES_OR_PATHS = Kind(
    "NAME|PATH,…", "non-empty texts, separated by commas", _axis_of(_one(_text)), is_path=True
)
FILE = Kind("FILE", "a file name, or - for standard input", _text, is_path=True)
MODEL_AND_INPUTS = Kind("MODEL INPUTS", "a non-empty text", _text, is_path=True)
_INIT = "default, he or normal:SIGMA with SIGMA above 0"
INIT = Kind("INIT", _INIT, _init)
INITS = Kind("INIT,…", f"{_INIT}, separated by commas", _axis_of(_one(_init)))
YES_OR_NO = Kind(
    "[true|false]",
    "true or false",
    lambda text: _yes_or_no[_one_of(tuple(_yes_or_no))(text.lower())],
    words=tuple(_yes_or_no),
)
YES_AND_NO = Kind(
    "true|false,…",
    "true or false, or both separated by a comma",
    _axis_of(_one(YES_OR_NO.parse)),
    words=tuple(_yes_or_no),
    is_list=True,
)
