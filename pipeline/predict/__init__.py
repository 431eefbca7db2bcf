"""Asks a network about images: files in, answers out, with why its units are zero.

It must not know who asks, nor where the answers are shown.
"""

from pipeline.predict.answer import Answer, csv_lines, json_lines
from pipeline.predict.inputs import Size, read_inputs
from pipeline.predict.layouts import layout_of
from pipeline.predict.mc_dropout import Masks, hidden_masks
from pipeline.predict.network import Inside, look_inside
from pipeline.predict.query import Asked, ask

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
