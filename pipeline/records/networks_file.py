"""The file that names the networks of a comparison, which ends every sweep: one row per network."""

import csv
import io

NETWORKS = "networks.csv"
RUN_ID = "run_id"


def run_ids(text: str) -> list[str]:
    """The ids of the networks' runs in such a file, in its order, each once.

    Raises:
        ValueError: it has no such column.
    """
    rows = csv.DictReader(io.StringIO(text))
    if RUN_ID not in (rows.fieldnames or ()):
        raise ValueError(f"no column {RUN_ID}")
    return list(dict.fromkeys(row[RUN_ID] for row in rows if row[RUN_ID]))
