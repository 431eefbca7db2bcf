"""The colour of a network's lines in MLflow's charts: the hue tells the drop rate."""

from itertools import pairwise

from pipeline.config.recipe import Recipe

# Blue to red, all dark enough to be seen as a thin line on white; common rates are far apart.
_SCALE = {
    0.0: 0x2C3E9E,
    0.1: 0x2F6FD0,
    0.2: 0x12A0A8,
    0.3: 0x4DA32F,
    0.4: 0xC9A000,
    0.5: 0xE7700A,
    0.6: 0xD0202E,
    0.8: 0x7A0F4F,
}
_WITHOUT_DROPOUT = 0x222222
_SHADES = 4  # seeds of one drop rate
_PALEST = 0.45  # the way to white


def run_color(recipe: Recipe) -> str:
    """The colour as `#rrggbb`: black without dropout, from blue to red as more is dropped.

    Four seeds in a row differ in how pale they are.
    """
    pure = _at(recipe.drop_rate) if recipe.drop_rate else _channels(_WITHOUT_DROPOUT)
    white = _PALEST * (recipe.seed % _SHADES) / (_SHADES - 1)
    return "#" + "".join(f"{round(value + white * (255 - value)):02x}" for value in pure)


def _at(drop_rate: float) -> tuple[float, ...]:
    rate = min(drop_rate, max(_SCALE))
    low, high = next(ends for ends in pairwise(_SCALE) if rate <= ends[1])
    share = (rate - low) / (high - low)
    ends = zip(_channels(_SCALE[low]), _channels(_SCALE[high]), strict=True)
    return tuple(start + share * (end - start) for start, end in ends)


def _channels(color: int) -> tuple[float, ...]:
    return tuple(float(channel) for channel in color.to_bytes(3, "big"))
