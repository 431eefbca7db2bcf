"""The colour of a network's lines in MLflow's charts: the lightness tells the drop rate."""

from pipeline.config.recipe import Recipe

# From viridis (van der Walt and Smith 2015), at drop rates 0, 0.1 … 0.9: each step is lighter than
# the one before it for every kind of sight, and no colour is lost on a white page or a dark one.
_RAMP = (
    0x481D6F, 0x443983, 0x3B528B, 0x30698E, 0x277E8E, 0x20928C, 0x21A685, 0x3ABA76, 0x65CB5E,
    0x9BD93C,
)  # fmt: skip
_SHADES = 4  # seeds of one drop rate
_GREYEST = 0.75  # the way to a grey that is as light


def run_color(recipe: Recipe) -> str:
    """The colour as `#rrggbb`: the more is dropped, the lighter, from violet to yellow-green.

    Four seeds in a row are as light as each other, and differ in how grey they are.
    """
    place = min(10 * recipe.mean_drop_rate, len(_RAMP) - 1)
    low = min(int(place), len(_RAMP) - 2)
    ends = zip(_linear(_RAMP[low]), _linear(_RAMP[low + 1]), strict=True)
    pure = [start + (place - low) * (end - start) for start, end in ends]
    # Relative luminance, as sRGB defines it.
    luminance = sum(
        share * part for share, part in zip((0.2126, 0.7152, 0.0722), pure, strict=True)
    )
    grey = _GREYEST * (recipe.seed % _SHADES) / (_SHADES - 1)
    return "#" + "".join(_digits(part + grey * (luminance - part)) for part in pure)


def _linear(color: int) -> list[float]:
    """The amounts of red, green and blue light, from 0 to 1."""
    channels = [channel / 255 for channel in color.to_bytes(3, "big")]
    return [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]


def _digits(light: float) -> str:
    channel = 12.92 * light if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055
    return f"{round(255 * channel):02x}"
