"""What a store of thousands of runs costs, beside one with a single sweep: it must not be felt.

The runs are copies of a real sweep's, made in SQL, with fingerprints of their own.
"""

import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import chdir, closing
from pathlib import Path

from benchmarks import processes
from benchmarks.conditions import Conditions
from benchmarks.interleaved import seconds_of
from benchmarks.results import Bound, Row
from pipeline.runs.sweeps import find_sweep, finished_networks
from pipeline.tracking import Tracker, connect

# More than with a store of one sweep.
AT_MOST = Bound(limit=1.0)
# Columns of a run's own; in all other tables a run is named in `run_uuid`.
_TABLES = ("tags", "params", "latest_metrics", "metrics")
_SWEEP = ("sweep", "--epochs", "1", "--widths", "8", "--mask-passes", "0", "--drop-rates", "0,0.5")


def measure(conditions: Conditions) -> Iterator[Row]:
    """The seconds of every search that a step makes, with a small store and with a large one."""
    many = conditions.pick(smoke=50, usual=5000)
    seeds = conditions.pick(smoke="0", usual="0-29")
    with tempfile.TemporaryDirectory() as name, chdir(name):
        folder = Path(name)
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
        processes.run("-m", "pipeline", *_SWEEP, "--seeds", seeds, folder=folder)
        small = _seconds()
        with closing(sqlite3.connect(folder / "mlflow.db")) as database, database:
            multiply(database, many)
        large = _seconds()
        for what, seconds in large.items():
            yield Row(name=f"{what}, one sweep", value=small[what], unit="s")
            more = f"more with {many:,} runs"
            yield Row(name=f"{what}, {more}", value=seconds - small[what], unit="s", bound=AT_MOST)


def multiply(database: sqlite3.Connection, many: int) -> None:
    """Copy the runs of a store until there are so many, older than those that are there.

    A copy has a fingerprint and a stack of its own, and shares the artifacts.

    Args:
        database: a store of MLflow's.
        many: runs in all.
    """
    there = [run for (run,) in database.execute("SELECT run_uuid FROM runs ORDER BY start_time")]
    copies = [(there[number % len(there)], f"{number:032x}") for number in range(many - len(there))]
    database.execute("CREATE TEMPORARY TABLE copies (source TEXT, made TEXT)")
    database.execute("CREATE INDEX temp.copies_source ON copies (source)")
    database.executemany("INSERT INTO copies VALUES (?, ?)", copies)
    replaced = {
        "run_uuid": "made",
        "start_time": "start_time - 1000 * (1 + copies.rowid)",
        "value": "CASE WHEN key IN ('fingerprint', 'stack') THEN made ELSE value END",
    }
    for table in ("runs", *_TABLES):
        columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
        new = {name: name for name in columns} | (
            {name: text for name, text in replaced.items() if name in columns}
            if table in {"runs", "tags"}
            else {"run_uuid": "made"}
        )
        database.execute(
            f"INSERT INTO {table} ({', '.join(new)}) SELECT {', '.join(new.values())} "  # noqa: S608
            f"FROM copies JOIN {table} ON {table}.run_uuid = copies.source"
        )
    # Datasets and models that the copies name, too.
    for run, link in (("destination", "source"), ("source", "destination")):
        database.execute(
            "INSERT INTO inputs (input_uuid, source_type, source_id, destination_type, "  # noqa: S608
            "destination_id, step) "
            f"SELECT hex(randomblob(16)), source_type, {'made' if run == 'source' else 'source_id'}"
            f", destination_type, {'made' if run == 'destination' else 'destination_id'}, step "
            f"FROM copies JOIN inputs ON inputs.{run}_id = copies.source "
            f"WHERE inputs.{link}_id NOT IN (SELECT made FROM copies)"
        )


def _seconds() -> Mapping[str, float]:
    """How long each search takes in the store of this folder."""
    tracker = connect()
    networks = finished_networks(find_sweep("latest", tracker), tracker)
    keys = [run.tags["fingerprint"] for run in networks]
    searches: dict[str, Callable[[], object]] = {
        "connect and end_abandoned": connect,
        f"finished_all of {len(keys)}": lambda: _check(tracker, keys),
        "finished_all of as many that are not there": lambda: tracker.finished_all(
            [key[::-1] for key in keys]
        ),
        "the latest sweep": lambda: find_sweep("latest", tracker),
        "its networks": lambda: finished_networks(find_sweep("latest", tracker), tracker),
        "runs_of a stack": lambda: tracker.runs_of(networks[0].tags["stack"]),
        "begun": lambda: tracker.begun(keys[:1]),
        "compare": lambda: processes.run("-m", "pipeline", "compare", folder=Path()),
    }
    return {what: seconds_of(search) for what, search in searches.items()}


def _check(tracker: Tracker, keys: list[str]) -> None:
    if len(tracker.finished_all(keys)) < len(keys):
        raise RuntimeError("every network of the sweep must be found")
