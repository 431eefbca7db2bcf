"""The gate that loads a model where this package cannot be imported.

It must not know what the model answers elsewhere: that is for other gates to compare.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from pipeline.gates.answers import TOLERANCE, logits
from pipeline.gates.candidate import Candidate
from pipeline.gates.verdict import GateError, Verdict, gap_in_words
from pipeline.tracking import STRANGER, requirements_of

Isolation = Literal["process", "env"]

GATE = "loads alone"
IMAGES = 7
_LOAD_SECONDS = 600.0
_INSTALL_SECONDS = 3600.0


def loads_alone(one: Candidate, *, isolation: Isolation, uri: str) -> Verdict:
    """The model loads from the store in a fresh Python, which answers as this one does.

    In that Python this package cannot be imported and pickles are refused. With `env` it is that
    of a virtual environment which holds the model's own requirements and nothing else; it is
    thrown away afterwards.

    Args:
        one: the candidate.
        isolation: a process of this Python, or an environment of the model's own.
        uri: the tracking URI of the store that the model is in.

    Raises:
        GateError: it does not load, or answers otherwise.
    """
    images = one.test_images(IMAGES)
    with tempfile.TemporaryDirectory(prefix="why-zero-") as folder:
        batch, answers = Path(folder, "batch.npy"), Path(folder, "answers.npy")
        np.save(batch, images.numpy())
        python = _environment(one.address, Path(folder, "env")) if isolation == "env" else None
        arguments = [STRANGER, one.address, batch, answers]
        _run(
            [str(python or sys.executable), "-I", *map(str, arguments)],
            seconds=_LOAD_SECONDS,
            uri=uri,
            rule="the model must load and answer where this package and pickles are refused",
        )
        given = np.load(answers, allow_pickle=False)
    gap = float(np.abs(given - logits(one.model.network, images).numpy()).max())
    if not gap <= TOLERANCE:
        raise GateError(
            GATE,
            rule=f"a fresh process must answer within {TOLERANCE:g} of this one",
            found=f"a difference of {gap:.2g} for {IMAGES} images",
            remedy="train the network again with force=true",
        )
    where = "an environment of its own" if isolation == "env" else "a fresh process"
    found = f"in {where} without this package; its answers and this one's: {gap_in_words(gap)}"
    return Verdict(gate=GATE, found=found)


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
    """The interpreter of a new environment with what the model says it needs."""
    for command in install_commands(folder, requirements_of(address)):
        _run(
            command,
            seconds=_INSTALL_SECONDS,
            uri="",
            rule="the model's own requirements must install in an environment of their own",
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
        raise _refusal(rule, f"no end within {seconds:g} s") from error


def _last_line(text: str) -> str:
    """The last line that says something, which in a traceback is the error; 300 characters."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""


def _refusal(rule: str, found: str) -> GateError:
    return GateError(
        GATE,
        rule=rule,
        found=found,
        remedy="log the model as pt2 with the packages it needs, as `mnist` and `sweep` do",
    )
