"""Colours, sizes and words that all figures share."""

from dataclasses import dataclass
from typing import Any

from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import Patch

from why_zero.records import Cause


@dataclass(frozen=True)
class Look:
    """How one cause of a zero looks in every figure."""

    label: str
    colour: str
    hatch: str
    hatch_colour: str

    @property
    def patch(self) -> Patch:
        """The cause's entry in a key."""
        return Patch(label=self.label, **self.fill)

    @property
    def fill(self) -> dict[str, Any]:
        """The arguments that paint an area: matplotlib draws a hatch in the edge's colour."""
        return {
            "facecolor": self.colour,
            "edgecolor": self.hatch_colour,
            "hatch": self.hatch,
            "linewidth": 0.0,
        }


# In the order they are stacked: ReLU's two zeros touch, and dropout's two. `both` is the other two
# hatches at once, and lightness differs, so that they can be told apart without seeing colours.
CAUSE_LOOKS: dict[Cause, Look] = {
    "inactive": Look("zero by ReLU alone", "#0072B2", "\\\\", "#2A8CC4"),
    "both": Look("zero by both", "#3D1A4F", "xx", "#5C3A6E"),
    "dropped": Look("zero by dropout alone", "#E69F00", "//", "#C98A00"),
    "active": Look("active, not zero", "#CDE9E5", "", "none"),
}


@dataclass(frozen=True)
class Series:
    """How one of several curves looks: told apart by colour, lightness, dashes and marker."""

    colour: str
    dashes: str
    marker: str

    @property
    def line(self) -> dict[str, Any]:
        """The arguments that draw the curve."""
        return {
            "color": self.colour,
            "linestyle": self.dashes,
            "marker": self.marker,
            "markersize": 4.5,
            "clip_on": False,
        }

    @property
    def rings(self) -> dict[str, Any]:
        """The arguments that draw the single values behind a curve of means."""
        return self.line | {"linestyle": "", "markerfacecolor": "none"}


SERIES = (
    Series("#CC79A7", "--", "s"),
    Series("#0B7A5E", "-", "^"),
    Series("#222222", "-", "o"),
)
# For figures of more curves than three, in this order.
CURVES = (
    *reversed(SERIES),
    Series("#5B3FA0", "--", "D"),
    Series("#D05810", "-.", "v"),
    Series("#9FD0F0", "-", "P"),
)
DEAD = "#A50026"
# The place of dead units among bars: they have no height.
DEAD_BAND: dict[str, Any] = {
    "facecolor": "#F6E3E1",
    "edgecolor": "#C9787C",
    "hatch": "///",
    "linewidth": 0.0,
}
# A dead unit in a pass that dropped it as well.
DEAD_DROPPED = "#7E0020"
# A unit that ReLU closed in one of two passes over the same sample.
CHANGED = "#CC79A7"
# A dead unit whose weights moved anyway; a unit that is not dead.
DEAD_MOVING = "#EBA9A0"
ALIVE = "#EDF3F2"
ALWAYS_ON = "#04494D"
FIRING = "#12898F"
# Ends lighter than DEAD, so that a dead unit stands out without colours too.
FIRING_RATES = LinearSegmentedColormap.from_list("firing_rates", ["#EDF7F5", "#7CC4C0", FIRING])
# Of weights, from negative to positive; no end is near DEAD, which frames them.
WEIGHTS = LinearSegmentedColormap.from_list(
    "weights", ["#4B2178", "#A98FCB", "#F7F7F7", "#5FB3B0", "#0B5F63"]
)
# States of units, as curves.
STATES = {
    "dead": Series(DEAD, "-", "o"),
    "dormant but alive": Series("#56B4E9", "-.", "^"),
    "born dead": Series("#777777", "--", "s"),
}
INK = "#222222"
PALE = "#666666"
# Of grid lines: they can be seen on white, and on the grey that the report has in the dark.
GRID = "#D4D4D4"

SMALL, NORMAL, LARGE = 8.5, 9.5, 12.5


def shorten(name: str, letters: int = 14) -> str:
    """A class's name, cut to so many letters."""
    return name if len(name) <= letters else f"{name[: letters - 1]}…"
