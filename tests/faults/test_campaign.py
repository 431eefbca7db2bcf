"""A short campaign of faults; the long one is `python -m tests.faults`."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STEPS = ("mnist", "toy", "prepare")
TRIALS = 8


@pytest.mark.slow
@pytest.mark.kill
def test_a_step_that_is_disturbed_anywhere_ends_exactly_when_it_is_run_again() -> None:
    named = [word for step in STEPS for word in ("--step", step)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults", "--trials", str(TRIALS), *named],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    many = len(STEPS) * TRIALS
    assert f"\nall: {many} tried, {many} exact, 0 otherwise, " in done.stdout
    # So many places that those which were drawn are not always the same few.
    places = [int(many) for many in re.findall(r": (\d+) places", done.stdout)]
    assert len(places) == len(STEPS)
    assert min(places) > 2 * TRIALS
