"""Classify images with the model of this bundle: numpy and onnxruntime are all it needs.

    python predict.py IMAGES [--probabilities]

IMAGES is a .npy file or an IDX file (also .gz) of one image or several, bytes 0 ... 255 with
background 0, or floats in [0, 1]. Without IMAGES the bundle's own input example is classified.
One line an image: its number, the class, and how probable the model takes it to be.

It must not know the package that trained the model: this file leaves with the bundle.
"""

import argparse
import gzip
import json
import struct
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

Array = NDArray[np.generic]
Floats = NDArray[np.float32]

HERE = Path(__file__).resolve().parent
BATCH = 1000


def load(path: Path) -> Array:
    """The array in a .npy or IDX file."""
    if path.suffix == ".npy":
        loaded: Array = np.load(path, allow_pickle=False)
        return loaded
    content = path.read_bytes()
    if content[:2] == b"\x1f\x8b":
        content = gzip.decompress(content)
    if len(content) < 4 or content[:3] != b"\0\0\x08":
        raise ValueError("images must be a .npy file or an IDX file of bytes")
    shape = struct.unpack(f">{content[3]}I", content[4 : 4 + 4 * content[3]])
    return np.frombuffer(content, np.uint8, offset=4 + 4 * content[3]).reshape(shape)


def prepared(images: Array, shape: list[int]) -> Floats:
    """Images as the model takes them: float32 in [0, 1] of shape (images, ...)."""
    if images.dtype == np.uint8:
        images = images.astype(np.float32) / 255
    elif images.dtype.kind != "f":
        raise ValueError(f"images must be bytes or floats, got {images.dtype}")
    if images.size == 0 or images.size % np.prod(shape):
        raise ValueError(f"images must be of shape {shape}, got {list(images.shape)}")
    single = images.shape[-2:] if len(shape) > 1 else images.shape[-1:]
    if list(single) != shape[-len(single) :]:
        raise ValueError(f"images must be of shape {shape}, got {list(images.shape)}")
    pixels = images.reshape(-1, *shape).astype(np.float32)
    if not 0 <= pixels.min() <= pixels.max() <= 1:
        raise ValueError("images given as floats must lie in [0, 1]: divide bytes by 255")
    return pixels


def probabilities(images: Floats) -> Floats:
    """The probability of each class, shape (images, classes)."""
    session = onnxruntime.InferenceSession(HERE / "model.onnx", providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    parts = [images[start : start + BATCH] for start in range(0, len(images), BATCH)]
    logits = np.concatenate([session.run(None, {name: part})[0] for part in parts])
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def main() -> None:
    """Classify what the command line names."""
    reader = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    reader.add_argument("images", nargs="?", type=Path, help=".npy or IDX file, also .gz")
    reader.add_argument("--probabilities", action="store_true", help="show those of all classes")
    given = reader.parse_args()
    summary = json.loads((HERE / "bundle.json").read_text("utf-8"))
    path = given.images or HERE / "model" / "input_example.json"
    try:
        if given.images:
            images = load(path)
        else:
            images = np.asarray(json.loads(path.read_text("utf-8")), np.float32)
        found = probabilities(prepared(images, summary["input_shape"][1:]))
    except (ValueError, OSError, EOFError, struct.error) as error:
        sys.exit(f"error: {path}: {error}")
    for number, row in enumerate(found):
        shown = f"{number}\t{summary['classes'][row.argmax()]}\t{row.max():.4f}"
        if given.probabilities:
            shown += "\t" + " ".join(f"{value:.4f}" for value in row)
        sys.stdout.write(shown + "\n")


if __name__ == "__main__":
    main()
