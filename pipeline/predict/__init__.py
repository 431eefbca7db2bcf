"""Classifies image files with a network, and says why its units are zero."""

from pipeline.predict.answer import Answer, csv_lines, json_lines
from pipeline.predict.inputs import Size, read_inputs
from pipeline.predict.layouts import Ink, ink_of, layout_of
from pipeline.predict.mc_dropout import hidden_masks, input_mask
from pipeline.predict.network import LoadedNetwork, load_network
from pipeline.predict.query import Query, answer_images

__all__ = [
    "Answer",
    "Ink",
    "LoadedNetwork",
    "Query",
    "Size",
    "answer_images",
    "csv_lines",
    "hidden_masks",
    "ink_of",
    "input_mask",
    "json_lines",
    "layout_of",
    "load_network",
    "read_inputs",
]
