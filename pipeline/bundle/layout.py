"""Where everything lies in a bundle, and what a file in it may be called."""

import re
import unicodedata
from collections.abc import Iterable

from pipeline.errors import PipelineError
from pipeline.redaction import printable

FORMAT = 1

SUMS = "SHA256SUMS"
README = "README.md"
SUMMARY = "bundle.json"
CARD = "model_card.md"
ONNX = "model.onnx"
PREDICT = "predict.py"
EXPERIMENT = "experiment.json"
RUN = "run.json"
METRICS = "metrics.json"
MODEL = "model.json"
VERSION = "version.json"

# The folder of an MLflow model, ready for `mlflow.pytorch.load_model`.
MODEL_FOLDER = "model"
MLMODEL = f"{MODEL_FOLDER}/MLmodel"
GRAPH = f"{MODEL_FOLDER}/data/model.pt2"
CONDA = f"{MODEL_FOLDER}/conda.yaml"
PYTHON = f"{MODEL_FOLDER}/python_env.yaml"
REQUIREMENTS = f"{MODEL_FOLDER}/requirements.txt"
EXAMPLE = f"{MODEL_FOLDER}/input_example.json"
SERVING_EXAMPLE = f"{MODEL_FOLDER}/serving_input_example.json"
MODEL_FILES = (MLMODEL, GRAPH, CONDA, PYTHON, REQUIREMENTS, EXAMPLE, SERVING_EXAMPLE)

ARTIFACTS = "artifacts"
STATE_DICT = f"{ARTIFACTS}/state_dict.safetensors"

REQUIRED = frozenset(
    {
        README, SUMMARY, CARD, ONNX, PREDICT, EXPERIMENT, RUN, METRICS, MODEL, VERSION,
        *MODEL_FILES, STATE_DICT,
    }
)  # fmt: skip

_MOST_CHARACTERS = 240
_SHOWN = 120
# What Windows refuses in a name or takes for a device: a bundle must unpack everywhere.
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f\\:*?"<>|]')
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


class BundleError(PipelineError):
    """A file that does not belong in a bundle, or has the wrong content."""

    def __init__(self, file: str, found: str) -> None:
        """Say in one line, whatever the file name contains, what was found in which file."""
        shown = ascii(file if len(file) <= _SHOWN else f"{file[:_SHOWN]}…")
        super().__init__(
            f"a bundle must hold what export writes and nothing else, got {printable(found)} in "
            f"{shown}: nothing was written; fetch the bundle again or export the model anew"
        )


def check_names(names: Iterable[str]) -> None:
    """Return if these names can be a bundle's files on every operating system.

    Raises:
        BundleError: a name leads out of the folder or is invalid on some system, two differ only in
            case, or one is the folder of another.
    """
    seen: dict[str, str] = {}
    for name in names:
        _check_name(name)
        folded = name.casefold()
        if folded in seen:
            raise BundleError(name, f"the same name as another file, {seen[folded]!a},")
        seen[folded] = name
    folders = {
        "/".join(parts[:end])
        for parts in (folded.split("/") for folded in seen)
        for end in range(1, len(parts))
    }
    for folded in folders & seen.keys():
        raise BundleError(seen[folded], "a file and a folder with the same name")


def check_list(names: Iterable[str]) -> None:
    """Return if these are the files of a bundle: all that it needs, and otherwise only artifacts.

    Raises:
        BundleError: one is missing, or does not belong to a bundle.
    """
    there = set(names)
    for name in sorted(REQUIRED - there):
        raise BundleError(name, "no such file")
    for name in sorted(there - REQUIRED):
        if not name.startswith(f"{ARTIFACTS}/"):
            raise BundleError(name, "a file that does not belong to a bundle")


def _check_name(name: str) -> None:
    """Raise BundleError unless the name is a relative path that stays below its folder."""
    parts = name.split("/")
    is_plain = (
        0 < len(name) <= _MOST_CHARACTERS
        and not _FORBIDDEN.search(name)
        and not any("\ud800" <= letter <= "\udfff" for letter in name)
        and unicodedata.normalize("NFC", name) == name
        and all(part.strip(" ") == part and part.rstrip(".") == part for part in parts)
        and all(parts)
        and not any(_DEVICE.fullmatch(part) for part in parts)
    )
    if not is_plain:
        raise BundleError(name, "an unsafe path")
