"""A short campaign of the fuzzer, and everything that longer ones have found."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.__main__ import campaign
from tests.fuzz.targets import TARGETS, Target

ROOT = Path(__file__).parents[2]
FOUND = sorted((Path(__file__).parent / "found").glob("*.*"))


def fuzz(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "tests.fuzz", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_changed_files_and_arguments_are_accepted_or_refused_in_one_line() -> None:
    """Bundles, which take longer to make, are fed by the long campaign and `tests/bundle`."""
    done = fuzz("idx", "images", "arguments", "checkpoints", "journals", "--count", "300")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        "idx", "images", "arguments", "checkpoints", "journals",
    ]  # fmt: skip
    assert all(": 300 tried" in line for line in lines)
    # Not all alike: changes too small or too large would find nothing.
    assert not any(" 0 accepted" in line or " 0 refused" in line for line in lines)


def test_what_a_library_leaks_with_each_input_does_not_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept: list[bytes] = []

    def leak(_: bytes) -> bool:
        kept.append(bytes(8 << 20))
        return True

    monkeypatch.setitem(TARGETS, "leaky", lambda _: Target(corpus=[b"a"], feed=leak))
    monkeypatch.setattr("tests.fuzz.__main__.INPUTS", 20)
    assert campaign("leaky", 100, seed=0, seconds=60)
    assert "100 tried" in capsys.readouterr().out
    monkeypatch.setattr("tests.fuzz.__main__.INPUTS", 100)
    monkeypatch.setattr("tests.fuzz.__main__.FOUND", tmp_path)
    assert not campaign("leaky", 100, seed=0, seconds=60)
    assert "memory: more than 256 MB" in capsys.readouterr().out


@pytest.mark.slow
def test_what_was_found_is_found_no_more() -> None:
    done = fuzz("--again")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == f"{len(FOUND)} inputs that were found before: 0 faults\n"
