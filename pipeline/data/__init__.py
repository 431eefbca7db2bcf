"""Where images come from: files in, verified uint8 tensors out."""

from pipeline.data.folder import read_folder
from pipeline.data.idx import MAX_BYTES, is_idx, parse_idx, read_idx
from pipeline.data.images import ImageData, as_input
from pipeline.data.known import KNOWN_NAMES, class_names
from pipeline.data.lookup import prepared
from pipeline.data.sets import load
from pipeline.data.splits import split
from pipeline.data.store import read_prepared, write_prepared

__all__ = [
    "KNOWN_NAMES",
    "MAX_BYTES",
    "ImageData",
    "as_input",
    "class_names",
    "is_idx",
    "load",
    "parse_idx",
    "prepared",
    "read_folder",
    "read_idx",
    "read_prepared",
    "split",
    "write_prepared",
]
