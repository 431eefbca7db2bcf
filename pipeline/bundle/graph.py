"""Whether a pt2 archive holds a graph of our networks and nothing that could run code.

`torch.export.load` unpickles what an archive says is pickled, evaluates its symbolic expressions
as Python (through sympy), executes its guards, and makes Python source of its names; MLflow's own
check looks for pickles alone. So only what our networks export to is taken, entry by entry and
word by word. It must not import torch: nothing of the file may reach a reader before.
"""

import re
import zipfile
from pathlib import Path
from typing import Any

from pipeline.bundle.codec import strict_json
from pipeline.bundle.sample_inputs import check_sample_inputs

_MOST_JSON = 64 << 20
_ROOT = "[A-Za-z0-9_]+"
_GRAPH = "models/model.json"
_WEIGHTS = "data/weights/model_weights_config.json"
_CONSTANTS = "data/constants/model_constants_config.json"
_SAMPLES = "data/sample_inputs/model.pt"
_RAW = re.compile(r"data/weights/weight_\d{1,6}")
_WORDS = {
    "archive_format": "pt2",
    "archive_version": "[0-9]{1,3}",
    "byteorder": "little|big",
    ".data/version": r"[0-9]{1,3}\n?",
    ".data/serialization_id": "[0-9]{1,64}",
}

_NAME = re.compile(r"[A-Za-z_][\w.]*", re.ASCII)
_SYMBOL = re.compile(r"Symbol\('[su]\d+'(, (positive|integer)=True)*\)|\d+", re.ASCII)
_OPERATORS = frozenset(
    f"torch.ops.aten.{name}"
    for name in ("flatten.using_ints", "linear.default", "relu.default", "dropout.default")
)
# A signature of trees, in JSON within JSON: tuples and dicts of leaves, without a context that
# would name a module to import.
_TREE = re.compile(
    r'[\s\[\]{},:1]|"(type|context|children_spec|builtins\.(tuple|dict)|null|\[\])"|null'
)
# Free text that no reader evaluates; a carriage return would end a comment in generated source.
_COMMENT = re.compile(r"[^\x00-\x09\x0b-\x1f\x7f\u0085\u2028\u2029]*")
_TEXTS = {
    "expr_str": _SYMBOL,
    "target": re.compile("|".join(map(re.escape, sorted(_OPERATORS)))),
    "in_spec": re.compile(f"({_TREE.pattern})*"),
    "out_spec": re.compile(f"({_TREE.pattern})*"),
    "stack_trace": _COMMENT,
    "nn_module_stack": _COMMENT,
    "torch_fn": _COMMENT,
    "fqn": re.compile(r"[\w.]*", re.ASCII),
    "torch_version": re.compile(r"[\w.+]{1,40}", re.ASCII),
}
_KEYS = frozenset(
    [
        "graph_module",
        "graph",
        "inputs",
        "outputs",
        "nodes",
        "tensor_values",
        "sym_int_values",
        "sym_bool_values",
        "sym_float_values",
        "custom_obj_values",
        "is_single_tensor_return",
        "signature",
        "input_specs",
        "output_specs",
        "parameter",
        "parameter_name",
        "user_input",
        "user_output",
        "arg",
        "module_call_graph",
        "fqn",
        "in_spec",
        "out_spec",
        "forward_arg_names",
        "metadata",
        "treespec_namedtuple_fields",
        "opset_version",
        "range_constraints",
        "schema_version",
        "verifiers",
        "torch_version",
        "guards_code",
        "as_tensor",
        "as_int",
        "as_float",
        "as_bool",
        "as_expr",
        "expr_str",
        "hint",
        "name",
        "target",
        "kind",
        "is_hop_single_tensor_return",
        "stack_trace",
        "nn_module_stack",
        "torch_fn",
        "dtype",
        "sizes",
        "strides",
        "storage_offset",
        "requires_grad",
        "device",
        "layout",
        "type",
        "index",
        "min_val",
        "max_val",
        "major",
        "minor",
        "aten",
    ]
)
# Under these keys stand names that the network gave, instead of words of the format.
_NAMED = frozenset({"tensor_values", "range_constraints"})
_EMPTY = frozenset(
    {"guards_code", "custom_obj_values", "sym_int_values", "sym_bool_values", "sym_float_values",
     "treespec_namedtuple_fields"}
)  # fmt: skip
_WEIGHT_KEYS = {"path_name", "is_param", "use_pickle", "tensor_meta"}


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
            weights = _config(archive, entries[_WEIGHTS])
            if _config(archive, entries[_CONSTANTS]):
                raise ValueError("constants, which no network of ours has")
            if {f"data/weights/{name}" for name in weights} != {
                name for name in entries if _RAW.fullmatch(name)
            }:
                raise ValueError("weights that are not those it lists")
            _walk(strict_json(_text(archive, entries[_GRAPH])), "graph")
            with archive.open(entries[_SAMPLES]) as samples:
                check_sample_inputs(samples.read())
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
            raise ValueError(f"a second entry {name!a}")
        if name not in {_GRAPH, _WEIGHTS, _CONSTANTS, _SAMPLES, *_WORDS} and not _RAW.fullmatch(
            name
        ):
            raise ValueError(f"an entry {name[:80]!a}, which no network of ours has,")
        if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 0x1:
            raise ValueError(f"an entry {name} that is compressed or encrypted")
        found[name] = entry
    missing = {_GRAPH, _WEIGHTS, _CONSTANTS, _SAMPLES, "archive_format"} - found.keys()
    if missing or len(roots) != 1 or not re.fullmatch(_ROOT, *roots):
        raise ValueError(f"no graph: without {', '.join(sorted(missing)) or 'one folder'}")
    return found


def _text(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> str:
    if entry.file_size > _MOST_JSON:
        raise ValueError(f"an entry {entry.filename} of {entry.file_size} bytes")
    return archive.read(entry).decode("utf-8")


def _config(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> set[str]:
    """The files of raw tensors that a table lists."""
    read = strict_json(_text(archive, entry))
    if (
        not isinstance(read, dict)
        or read.keys() != {"config"}
        or not isinstance(read["config"], dict)
    ):
        raise ValueError(f"a table {entry.filename} that is none")
    for name, row in read["config"].items():
        if not _NAME.fullmatch(name) or not isinstance(row, dict) or row.keys() != _WEIGHT_KEYS:
            raise ValueError(f"a tensor {name[:80]!a} that is none")
        if row["use_pickle"] is not False:
            raise ValueError(f"a pickle where the tensor {name} should be")
        _walk(row["tensor_meta"], "tensor_meta")
    return {str(row["path_name"]) for row in read["config"].values()}


def _walk(value: Any, key: str) -> None:  # noqa: ANN401 - JSON is anything
    """Raise ValueError unless every key and every text below is one that our networks have."""
    if key in _EMPTY and value:
        raise ValueError(f"{key}, which no network of ours has")
    if isinstance(value, dict):
        for name, item in value.items():
            if not (_NAME.fullmatch(name) if key in _NAMED else name in _KEYS):
                raise ValueError(f"the word {name[:80]!a}, which no graph of ours has")
            _walk(item, "" if key in _NAMED else name)
    elif isinstance(value, list):
        for item in value:
            _walk(item, key)
    elif isinstance(value, str) and not _TEXTS.get(key, _NAME).fullmatch(value):
        raise ValueError(f"{key} {value[:80]!a}, which no graph of ours has")
