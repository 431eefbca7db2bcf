"""Which words the graph of one of our networks consists of, as torch writes it in JSON.

`torch.export.load` evaluates symbolic sizes as Python (through sympy), executes guards, imports
what the context of a tree names, and makes Python source of the names of values. So every key and
every text is held against what our networks export to. It must not import torch.
"""

import re
from typing import Any

NAME = re.compile(r"[A-Za-z_][\w.]*", re.ASCII)
_SYMBOL = re.compile(r"Symbol\('[su]\d+'(, (positive|integer)=True)*\)|\d+", re.ASCII)
_OPERATORS = (
    *("flatten.using_ints", "linear.default", "relu.default", "dropout.default"),
    # The condition that `log_model` puts in front of the network.
    *("ge.Scalar", "le.Scalar", "__and__.Tensor", "all.default", "_assert_async.msg"),
)
# A tree in JSON within JSON: tuples and dicts of leaves, whose contexts name nothing.
_TREE = re.compile(
    r'([\s\[\]{},:1]|"(type|context|children_spec|builtins\.(tuple|dict)|null|\[\])"|null)*'
)
# Free text that no reader evaluates; a carriage return would end a comment in generated source.
_COMMENT = re.compile(r"[^\x00-\x09\x0b-\x1f\x7f\u0085\u2028\u2029]*")
_BOUND = r"[-+.\de]{1,20}"
_TEXTS = {
    "as_string": re.compile(rf"every input must be a number in \[{_BOUND}, {_BOUND}\]", re.ASCII),
    "expr_str": _SYMBOL,
    "target": re.compile("|".join(re.escape(f"torch.ops.aten.{name}") for name in _OPERATORS)),
    "in_spec": _TREE,
    "out_spec": _TREE,
    "stack_trace": _COMMENT,
    "nn_module_stack": _COMMENT,
    "torch_fn": _COMMENT,
    "fqn": re.compile(r"[\w.]*", re.ASCII),
    "torch_version": re.compile(r"[\w.+]{1,40}", re.ASCII),
}
_KEYS = frozenset(
    {
        "graph_module", "graph", "inputs", "outputs", "nodes", "tensor_values", "sym_int_values",
        "sym_bool_values", "sym_float_values", "custom_obj_values", "is_single_tensor_return",
        "signature", "input_specs", "output_specs", "parameter", "parameter_name", "user_input",
        "user_output", "arg", "module_call_graph", "fqn", "in_spec", "out_spec",
        "forward_arg_names", "metadata", "treespec_namedtuple_fields", "opset_version",
        "range_constraints", "schema_version", "verifiers", "torch_version", "guards_code",
        "as_tensor", "as_int", "as_float", "as_bool", "as_expr", "as_string", "expr_str", "hint",
        "name", "target", "kind", "is_hop_single_tensor_return", "stack_trace", "nn_module_stack",
        "torch_fn", "dtype", "sizes", "strides", "storage_offset", "requires_grad", "device",
        "layout", "type", "index", "min_val", "max_val", "major", "minor", "aten",
    }
)  # fmt: skip
# Under these keys stand names that the network gave, instead of words of the format.
_NAMED = frozenset({"tensor_values", "range_constraints"})
_EMPTY = frozenset(
    {
        "guards_code", "custom_obj_values", "sym_int_values", "sym_bool_values",
        "sym_float_values", "treespec_namedtuple_fields",
    }
)  # fmt: skip


def check_words(value: Any, key: str) -> None:  # noqa: ANN401 - JSON is anything
    """Return if every key and every text in a part of a graph is one that our networks have.

    Args:
        value: what the JSON holds.
        key: under which key it stands.

    Raises:
        ValueError: a word that is none; the message says which.
    """
    if key in _EMPTY and value:
        raise ValueError(f"{key}, which no network of ours has")
    if isinstance(value, dict):
        for name, item in value.items():
            if not (NAME.fullmatch(name) if key in _NAMED else name in _KEYS):
                raise ValueError(f"the word {name[:80]!a}, which no graph of ours has")
            check_words(item, "" if key in _NAMED else name)
    elif isinstance(value, list):
        for item in value:
            check_words(item, key)
    elif isinstance(value, str) and not _TEXTS.get(key, NAME).fullmatch(value):
        raise ValueError(f"{key} {value[:80]!a}, which no graph of ours has")
