"""Settings and numbers as text, for every form of the report."""

import math
from collections.abc import Sequence
from typing import Any

from pipeline.comparison.statistics import Estimate
from pipeline.config.settings import canonical
from pipeline.records.words import DASH, SPACE, percent

MINUS, JOINER = "\u2212", " · "
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_PHRASES = {
    "drop_rate": "p={}",
    "activation": "{}",
    "widths": "widths {}",
    "init": "init {}",
    "max_norm": "max-norm {}",
    "learning_rate_decay": "decay {}",
    "optimizer": "{}",
    "select": "{} weights",
    "precision": "{}",
    "input_drop_rate": "inputs p={}",
    "recycle_every": "recycled every {} epochs",
    "recycle_below": "threshold {}",
    "device": "on {}",
    "device_name": "on {}",
}
_TITLES = {"recycle_every": "recycling interval", "recycle_below": "recycling threshold"}
_WORDS = {
    ("activation", "relu"): "ReLU",
    ("activation", "none"): "linear",
    ("activation", "sigmoid"): "logistic",
    ("activation", "leaky_relu"): "leaky ReLU",
    ("zero_biases", "true"): "zero biases",
    ("zero_biases", "false"): "drawn biases",
    ("scaling", "unit"): "inputs in [0, 1]",
    ("scaling", "symmetric"): f"inputs in [{MINUS}1, 1]",
    ("scaling", "standard"): "standardised inputs",
    ("max_norm", "0"): "no max-norm",
    ("learning_rate_decay", "1"): "no decay",
    ("output_dropout", "true"): "logits dropped",
    ("output_dropout", "false"): "logits kept",
    ("recycle_every", "0"): "never recycled",
    ("recycle_every", "1"): "recycled every epoch",
}


def trait(name: str, value: Any) -> str:  # noqa: ANN401 - a setting's value
    """A setting that sets a group apart: `p=0.2`, `learning rate 0.01`, `widths 64-64-32`."""
    text = canonical(value)
    if name == "widths":
        text = text.replace(",", "-")
    phrase = _PHRASES.get(name, f"{title(name)} {{}}")
    return _WORDS.get((name, text)) or phrase.format(text)


def title(name: str) -> str:
    """A setting's name in plain words."""
    return _TITLES.get(name, name.replace("_", " "))


def percent_interval(value: Estimate, digits: int = 2) -> str:
    """A mean share and the half width of its interval: `97.61 ± 0.14 %`."""
    if math.isnan(value.half_width):
        return percent(value.mean, digits)
    return f"{100 * value.mean:.{digits}f} ± {100 * value.half_width:.{digits}f}{SPACE}%"


def percent_range(value: Estimate) -> str:
    """An interval of a share by its ends: `97.41 to 97.98 %`; a dash where there is none."""
    if math.isnan(value.half_width):
        return DASH
    low, high = max(value.low, 0.0), min(value.high, 1.0)
    return f"{100 * low:.2f} to {100 * high:.2f}{SPACE}%"


def points(value: Estimate) -> str:
    """A difference of shares in points, with its sign: `+0.61 ± 0.14`."""
    if math.isnan(value.mean):
        return DASH
    width = "" if math.isnan(value.half_width) else f" ± {100 * value.half_width:.2f}"
    return f"{signed(100 * value.mean)}{width}"


def number(value: float, digits: int = 2) -> str:
    """A number; a dash where it is not known."""
    return DASH if math.isnan(value) else f"{value:.{digits}f}"


def signed(value: float, digits: int = 2) -> str:
    """A number with its sign; a dash where it is not known."""
    if math.isnan(value):
        return DASH
    return f"{value:+.{digits}f}".replace("-", MINUS)


def probability(value: float) -> str:
    """A p value; a dash where there is none."""
    if math.isnan(value):
        return DASH
    return "< 0.0001" if value < 0.0001 else f"{value:.2g}"


def count(number: int, noun: str) -> str:
    """A number of things in words up to ten: `five seeds`, `one network`, `30 networks`."""
    spelled = NUMBERS[number] if number < len(NUMBERS) else str(number)
    return f"{spelled} {noun}{'s' * (number != 1)}"


def seed_list(seeds: Sequence[int]) -> str:
    """Rising seeds in words, runs of three and more shortened: `seed 3`, `seeds 0-4 and 7`."""
    parts: list[list[int]] = []
    for seed in seeds:
        if parts and seed == parts[-1][-1] + 1:
            parts[-1].append(seed)
        else:
            parts.append([seed])
    texts = [
        text
        for part in parts
        for text in ([f"{part[0]}-{part[-1]}"] if len(part) > 2 else map(str, part))
    ]
    return f"seed{'s' * (len(seeds) != 1)} {listed(texts)}"


def listed(items: Sequence[str]) -> str:
    """Items with commas, and `and` before the last one."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"
