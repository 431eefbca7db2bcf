"""Whether a pt2 archive holds a graph of our networks and nothing that could run code.

`torch.export.load` unpickles what an archive says is pickled, and its graph can run code in other
ways (`graph_words`); MLflow's own check looks for pickles alone. So only what our networks export
to is taken, entry by entry. It must not import torch: nothing of the file may reach it before.
"""

import re
import zipfile
from pathlib import Path

from pipeline.bundle.codec import strict_json
from pipeline.bundle.graph_words import NAME, check_words
from pipeline.bundle.sample_inputs import check_sample_inputs

_MOST_JSON = 64 << 20
_ROOT = re.compile(r"\w+", re.ASCII)
_GRAPH = "models/model.json"
_WEIGHTS = "data/weights/model_weights_config.json"
_CONSTANTS = "data/constants/model_constants_config.json"
_SAMPLES = "data/sample_inputs/model.pt"
_FORMAT = "archive_format"
_NEEDED = frozenset({_GRAPH, _WEIGHTS, _CONSTANTS, _SAMPLES, _FORMAT})
_RAW = re.compile(r"data/weights/weight_\d{1,6}", re.ASCII)
_WORDS = {
    _FORMAT: "pt2",
    "archive_version": "[0-9]{1,3}",
    "byteorder": "little|big",
    ".data/version": r"[0-9]{1,3}\n?",
    ".data/serialization_id": "[0-9]{1,64}",
}
_ROW = {"path_name", "is_param", "use_pickle", "tensor_meta"}


def check_graph(path: Path) -> None:
    """Return if loading the archive gives a network of ours and does nothing else.

    Raises:
        ValueError: it is no such archive; the message says which entry is why.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = _entries(archive)
            for name, pattern in _WORDS.items():
                if name in entries and not re.fullmatch(pattern, _text(archive, entries[name])):
                    raise ValueError(f"an entry {name} that is none")
            listed = {f"data/weights/{name}" for name in _files(archive, entries[_WEIGHTS])}
            if listed != {name for name in entries if _RAW.fullmatch(name)}:
                raise ValueError("weights that are not those it lists")
            if _files(archive, entries[_CONSTANTS]):
                raise ValueError("constants, which no network of ours has")
            check_words(strict_json(_text(archive, entries[_GRAPH])), "")
            check_sample_inputs(archive.read(entries[_SAMPLES]))
    except (zipfile.BadZipFile, NotImplementedError, EOFError, RecursionError) as error:
        raise ValueError(f"no whole pt2 archive ({error})") from error


def _entries(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The archive's entries by their names below its one folder, if it holds what it may."""
    found: dict[str, zipfile.ZipInfo] = {}
    roots = set()
    for entry in archive.infolist():
        root, _, name = entry.orig_filename.partition("/")
        roots.add(root)
        if name in found:
            raise ValueError(f"a second entry {name[:80]!a}")
        if name not in _NEEDED and name not in _WORDS and not _RAW.fullmatch(name):
            raise ValueError(f"an entry {name[:80]!a}, which no network of ours has,")
        if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 0x1:
            raise ValueError(f"an entry {name} that is compressed or encrypted")
        if _RAW.fullmatch(name) and not entry.file_size:
            # torch makes zeros of whatever size is written for it.
            raise ValueError(f"an entry {name} without bytes")
        found[name] = entry
    if missing := _NEEDED - found.keys():
        raise ValueError(f"a pt2 archive without {min(missing)}")
    if len(roots) != 1 or not _ROOT.fullmatch(min(roots)):
        raise ValueError("a pt2 archive of several folders")
    return found


def _text(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> str:
    if entry.file_size > _MOST_JSON:
        raise ValueError(f"an entry {entry.filename} of {entry.file_size} bytes")
    return archive.read(entry).decode("utf-8")


def _files(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> set[str]:
    """The files of raw tensors that a table lists."""
    match strict_json(_text(archive, entry)):
        case {"config": dict(rows), **others} if not others:
            pass
        case _:
            raise ValueError(f"a table {entry.filename} that is none")
    for name, row in rows.items():
        if not NAME.fullmatch(name) or not isinstance(row, dict) or row.keys() != _ROW:
            raise ValueError(f"a tensor {name[:80]!a} that is none")
        if row["use_pickle"] is not False:
            raise ValueError(f"a pickle where the tensor {name} should be")
        check_words(row["tensor_meta"], "tensor_meta")
    return {str(row["path_name"]) for row in rows.values()}
