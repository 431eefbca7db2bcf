"""Asks a network about images: files in, answers out, with why its units are zero.

It must not know who asks, nor where the answers are shown.
"""

from pipeline.answers.answer import Answer, csv_lines, json_lines
from pipeline.answers.ask import Asked, ask
from pipeline.answers.inputs import Size, read_inputs
from pipeline.answers.inside import Inside, look_inside
from pipeline.answers.layouts import layout_of
from pipeline.answers.mc_dropout import Masks, hidden_masks

__all__ = [
    "Answer",
    "Asked",
    "Inside",
    "Masks",
    "Size",
    "ask",
    "csv_lines",
    "hidden_masks",
    "json_lines",
    "layout_of",
    "look_inside",
    "read_inputs",
]
