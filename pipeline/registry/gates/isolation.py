"""Runs a model where this package cannot be imported, and the gate that checks that it loads.

A graph from a store is a program: it is opened only in that process, and all gates compare the
answers it gave there.
"""

import os
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.files import temporary_folder
from pipeline.registry.gates.candidate import Candidate
from pipeline.registry.gates.result import GateError, GateResult, gap_in_words
from pipeline.tracking import ISOLATED_LOAD, requirements_of

Isolation = Literal["process", "env"]
# As `isolated_load.py` names them: logits, or two texts that say how and why there are none.
Answers = Mapping[str, NDArray[Any]]

GATE = "loads alone"
BATCHES = (1, 7, 10_000)
TOLERANCE = 1e-5
_FEW = BATCHES[1]
_LOAD_SECONDS = 600.0
_INSTALL_SECONDS = 3600.0
_ALONE = "the model must load and answer without this package and without pickles"


def ask(candidate: Candidate, *, isolation: Isolation, uri: str) -> Answers:
    """The model's answers in a fresh Python, which loads it from the store.

    In that Python this package cannot be imported and pickles are refused. With `env` it is that
    of a virtual environment which holds the model's own requirements and nothing else; it is
    thrown away afterwards.

    Args:
        candidate: whose model is asked.
        isolation: a process of this Python, or an environment of the model's own.
        uri: the tracking URI of the store that the model is in.

    Raises:
        GateError: it does not load.
    """
    with temporary_folder() as folder:
        asked, answered = folder / "batches.npz", folder / "answers.npz"
        write_batches(candidate, asked)
        python = _environment(candidate.address, folder / "env") if isolation == "env" else None
        arguments = [ISOLATED_LOAD, candidate.address, asked, answered]
        _run(
            [str(python or sys.executable), "-I", *map(str, arguments)],
            seconds=_LOAD_SECONDS,
            uri=uri,
            rule=_ALONE,
        )
        return read_answers(answered)


def write_batches(candidate: Candidate, path: Path) -> None:
    """Write every batch that the gates pass to a model."""
    batches = {str(count): candidate.test_images(count).numpy() for count in BATCHES}
    batches["again"] = batches[str(max(BATCHES))]
    batches["test"] = candidate.test_images(len(candidate.data.test_images)).numpy()
    # As Any: numpy's stub takes the names of arrays for options.
    named: dict[str, Any] = {**batches, **wrong_images(candidate)}
    np.savez(path, **named)


def wrong_images(candidate: Candidate) -> Mapping[str, NDArray[np.float32]]:
    """Images with one row missing, with one column missing, and without their channel."""
    images = candidate.test_images(2).numpy()
    return {"row": images[:, :, 1:], "column": images[..., 1:], "channel": images[:, 0]}


def read_answers(path: Path) -> Answers:
    """The model's answers; the process may have written anything.

    Raises:
        GateError: they are not arrays.
    """
    try:
        with path.open("rb") as file:
            return dict(np.load(file, allow_pickle=False))
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise _refusal(_ALONE, f"no answers ({error})") from error


def answer(given: Answers, flavour: str, batch: str) -> NDArray[Any] | tuple[str, str]:
    """The logits of a flavour for a batch; otherwise `refused` or `failed`, and the reason."""
    found = given.get(f"{flavour} {batch}", np.array(()))
    if found.dtype.kind == "f" and found.size:
        return found
    return tuple(found.tolist()) if found.dtype.kind == "U" else ("failed", "no logits")


def loads_alone(given: Answers, *, isolation: Isolation) -> GateResult:
    """The model has loaded in isolation, and its two flavours agree.

    Raises:
        GateError: one does not answer, or they differ.
    """
    logits = []
    for flavour in ("pytorch", "pyfunc"):
        match answer(given, flavour, str(_FEW)):
            case (_, reason):
                raise _refusal(_ALONE, reason)
            case array:
                logits.append(array)
    apart = gap(*logits)
    if not apart <= TOLERANCE:
        raise GateError(
            GATE,
            rule=f"the model's two flavours must agree within {TOLERANCE:g}",
            found=f"a difference of {apart:.2g} for {_FEW} images",
            remedy="train the network again with force=true",
        )
    where = "a new environment" if isolation == "env" else "a fresh process"
    found = f"in {where} without this package; its two flavours: {gap_in_words(apart)}"
    return GateResult(gate=GATE, found=found)


def gap(logits: NDArray[Any], others: NDArray[Any]) -> float:
    """The largest difference between two logits; infinite if the shapes differ."""
    return float(np.abs(logits - others).max()) if logits.shape == others.shape else float("inf")


def install_commands(folder: Path, requirements: Path) -> list[list[str]]:
    """The commands that make a virtual environment and install a list of packages in it.

    Args:
        folder: where the environment goes.
        requirements: the list, as pip takes it.
    """
    install = ["-m", "pip", "install", "--quiet", "--no-input", "--requirement"]
    return [
        [sys.executable, "-m", "venv", str(folder)],
        [str(python_of(folder)), *install, str(requirements)],
    ]


def python_of(folder: Path) -> Path:
    """The interpreter of a virtual environment."""
    return folder / "Scripts" / "python.exe" if os.name == "nt" else folder / "bin" / "python"


def _environment(address: str, folder: Path) -> Path:
    """The interpreter of a new environment with the model's requirements."""
    for command in install_commands(folder, requirements_of(address, folder.parent)):
        _run(
            command,
            seconds=_INSTALL_SECONDS,
            uri="",
            rule="the model's own requirements must install in a new environment",
        )
    return python_of(folder)


def _run(command: Sequence[str], *, seconds: float, uri: str, rule: str) -> None:
    """Run a command to its end.

    Raises:
        GateError: it fails, or takes too long.
    """
    environment = os.environ | {
        "MLFLOW_TRACKING_URI": uri,
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    }
    try:
        subprocess.run(  # noqa: S603 - the commands are made above
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        reason = _last_line(error.stderr) or f"exit code {error.returncode}"
        raise _refusal(rule, reason) from error
    except subprocess.TimeoutExpired as error:
        raise _refusal(rule, f"no result within {seconds:g} s") from error


def _last_line(text: str) -> str:
    """The last non-empty line, in a traceback the error; at most 300 characters."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""


def _refusal(rule: str, found: str) -> GateError:
    return GateError(
        GATE,
        rule=rule,
        found=found,
        remedy="log the model as pt2 with the packages it needs, as `mnist` and `sweep` do",
    )
