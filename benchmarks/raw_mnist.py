"""The bundled MNIST, laid out as torchvision expects a download."""

import gzip
from pathlib import Path


def lay_out(root: Path) -> Path:
    """Unpack the package's files under `root`, and return it."""
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for path in (Path(__file__).parent.parent / "pipeline" / "mnist").glob("*.gz"):
        (raw / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    return root
