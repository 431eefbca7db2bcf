"""What a folder holds after a step: runs, points, models, versions and files, to be compared.

The store is read with SQL and not through the code under test. Ids and times are left out.
"""

import hashlib
import re
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

# A key is a path such as ("network", fingerprint, "param", "seed"), a value all that is there.
Key = tuple[str, ...]
Facts = Mapping[Key, tuple[str, ...]]

STORE, ARTIFACTS, TEMPORARY = "mlflow.db", "mlruns", "tmp"
# Of the machine or of the moment: neither their number nor their values say anything.
_PASSING = ("system/", "process", "mlflow.user", "mlflow.source.git")
# The ids of runs, models, stacks and images, and the times in the names of images.
_IDS = re.compile(
    r"m-[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32}|[0-9a-f]{16}"
    r"|timestamp\+\d+"
)


@dataclass
class Found:
    """What is in a folder.

    Attributes:
        facts: all but the runs of steps.
        steps: the facts of every run of a step, by the step.
        finished: the steps with a run that has finished.
        open: what is left that should not be: open runs, models that are not ready.
    """

    facts: Facts = field(default_factory=dict)
    steps: Mapping[str, list[Facts]] = field(default_factory=dict)
    finished: set[str] = field(default_factory=set)
    open: list[str] = field(default_factory=list)


def plain(text: object) -> str:
    """The text without ids and times of images."""
    return _IDS.sub("<id>", str(text))


def read(root: Path, store: Path) -> Found:
    """Everything in a folder.

    Args:
        root: the working folder, with its temporary folder.
        store: the folder of the store and its artifacts, the same or a server's.
    """
    facts: defaultdict[Key, list[str]] = defaultdict(list)
    found = Found()
    if (store / STORE).exists() and (store / STORE).stat().st_size:
        with closing(sqlite3.connect(store / STORE)) as database:
            _Reader(store, database, facts, found).read()
    for path in root.rglob("*"):
        name = path.relative_to(root)
        if name.parts[0] in {STORE, ARTIFACTS, TEMPORARY} or name.name.startswith(f"{STORE}-"):
            continue
        facts["file", plain(name)].append("folder" if path.is_dir() else _digest(path))
    found.facts = _sorted(facts)
    return found


def _sorted(facts: Mapping[Key, list[str]]) -> Facts:
    return {key: tuple(sorted(values)) for key, values in facts.items()}


def _digest(path: Path) -> str:
    return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()


class _Reader:
    """Reads one store."""

    def __init__(
        self,
        root: Path,
        database: sqlite3.Connection,
        facts: defaultdict[Key, list[str]],
        found: Found,
    ) -> None:
        self._root, self._database, self._facts, self._found = root, database, facts, found

    def _rows(self, query: str, *values: str) -> list[tuple[str, ...]]:
        return self._database.execute(query, values).fetchall()

    def read(self) -> None:
        """Fill in what the store holds."""
        steps: defaultdict[str, list[Facts]] = defaultdict(list)
        owners: dict[str, Key] = {}
        known = set()
        runs = "SELECT run_uuid, name, status, lifecycle_stage, artifact_uri FROM runs"
        for run, name, status, stage, place in self._rows(runs):
            known.add(run)
            tags = dict(self._rows("SELECT key, value FROM tags WHERE run_uuid = ?", run))
            kind, step = tags.get("kind", "?"), tags.get("step", "?")
            if status in {"RUNNING", "SCHEDULED"}:
                self._found.open.append(f"run {name} is {status}")
            into = self._facts
            owner: Key = (kind, step, tags.get("fingerprint", name))
            if kind == "step":
                # How it ended may differ: what was done was done by a process that was killed.
                into, owner = defaultdict(list), (kind, step)
                tags = {key: tags[key] for key in tags.keys() - {"outcome", "reason"}}
                if status == "FINISHED":
                    self._found.finished.add(step)
            else:
                into[*owner, "status"].append(f"{status} {stage}")
            owners[run] = owner
            self._run(run, owner, into=into, place=place, tags={**tags, "name": name})
            if kind == "step":
                steps[step].append(_sorted(into))
        self._found.steps = dict(steps)
        known |= self._models(owners)
        self._versions(owners)
        for path in (self._root / ARTIFACTS).glob("*/*"):
            names = [one.name for one in path.iterdir()] if path.name == "models" else [path.name]
            strange = [name for name in names if name not in known]
            self._found.open += [f"a folder of nobody: {name}" for name in strange]
        for name, stage in self._rows("SELECT name, lifecycle_stage FROM experiments"):
            self._facts["experiment", name].append(stage)

    def _run(
        self,
        run: str,
        owner: Key,
        *,
        into: defaultdict[Key, list[str]],
        place: str,
        tags: Mapping[str, str],
    ) -> None:
        for key, value in tags.items():
            if not key.startswith(_PASSING):
                # A step tells in words what it has found done.
                is_told = (owner[0], key) == ("step", "mlflow.note.content")
                into[*owner, "tag", key].append("" if is_told else plain(value))
        for key, value in self._rows("SELECT key, value FROM params WHERE run_uuid = ?", run):
            into[*owner, "param", key].append(value)
        points = "SELECT key, step, value, is_nan FROM metrics WHERE run_uuid = ?"
        for key, step, value, is_nan in self._rows(points, run):
            if not key.startswith(_PASSING):
                what = "" if key.startswith("speed/") else f"{value} {is_nan}"
                into[*owner, "metric", key, str(step)].append(what)
        inputs = (
            "SELECT name, digest FROM inputs JOIN datasets ON source_id = dataset_uuid "
            "WHERE destination_id = ?"
        )
        for data in self._rows(inputs, run):
            into[*owner, "input"].append(" ".join(data))
        for name, content in self._files(place):
            into[*owner, "artifact", name].append(content)

    def _models(self, owners: Mapping[str, Key]) -> set[str]:
        models = (
            "SELECT model_id, name, status, source_run_id, artifact_location FROM logged_models "
            "WHERE lifecycle_stage = 'active'"
        )
        known = {one for (one,) in self._rows("SELECT model_id FROM logged_models")}
        for model, name, status, run, place in self._rows(models):
            owner = (*owners.get(run, ("nobody",)), "model", name)
            if status != 2:
                self._found.open.append(f"model {name} has status {status}")
            self._facts[*owner, "status"].append(str(status))
            points = (
                "SELECT metric_name, metric_step, metric_value FROM logged_model_metrics "
                "WHERE model_id = ?"
            )
            for key, step, value in self._rows(points, model):
                what = "" if key.startswith("speed/") else str(value)
                self._facts[*owner, "metric", key, str(step)].append(what)
            outputs = "SELECT step FROM inputs WHERE destination_id = ?"
            for (step,) in self._rows(outputs, model):
                self._facts[*owner, "output"].append(str(step))
            for name_of_file, content in self._files(place):
                self._facts[*owner, "file", name_of_file].append(content)
        return known

    def _versions(self, owners: Mapping[str, Key]) -> None:
        versions = "SELECT name, version, status, run_id, description FROM model_versions"
        for name, version, status, run, description in self._rows(versions):
            of = "/".join(owners.get(run, ("nobody",)))
            self._facts["version", name].append(f"{version} {status} {of}")
            self._facts["version", name, "description"].append(plain(description))
            tags = "SELECT key, value FROM model_version_tags WHERE name = ? AND version = ?"
            for key, value in self._rows(tags, name, version):
                self._facts["version", name, "tag", key].append(plain(value))
        for name, description in self._rows("SELECT name, description FROM registered_models"):
            self._facts["registered", name].append(plain(description))
        for name, alias, version in self._rows(
            "SELECT name, alias, version FROM registered_model_aliases"
        ):
            self._facts["alias", name, alias].append(str(version))

    def _files(self, place: str) -> Iterator[tuple[str, str]]:
        """The files at an artifact location, by their names."""
        served = f"{self._root / ARTIFACTS}/"
        folder = Path(place.removeprefix("file://").replace("mlflow-artifacts:/", served))
        for path in folder.rglob("*") if folder.is_dir() else ():
            if path.is_file():
                yield plain(path.relative_to(folder)), _digest(path)


@dataclass(frozen=True)
class Reference:
    """What an undisturbed step leaves, from two of them: what differs in these may be anything.

    Attributes:
        first: what one has left.
        second: what the other has left.
    """

    first: Found
    second: Found

    def faults(self, found: Found) -> list[str]:
        """How a folder differs, a line each that starts with lost, doubled, wrong or left."""
        faults = [f"left: {what}" for what in found.open]
        faults += _differences(self.first.facts, self.second.facts, found.facts)
        unfinished = self.first.finished - found.finished
        faults += [f"lost: no run of the step {step} has finished" for step in sorted(unfinished)]
        for step, (first, *_) in self.first.steps.items():
            second = self.second.steps[step][0]
            each = [_differences(first, second, one) for one in found.steps.get(step, [])]
            faults += min(each, key=len, default=[f"lost: the run of the step {step}"])
        return faults


def _differences(first: Facts, second: Facts, found: Facts) -> list[str]:
    differences = []
    for key in first.keys() & second.keys():
        name, values = " / ".join(key), found.get(key, ())
        if len(first[key]) != len(second[key]):
            continue
        if len(values) != len(first[key]):
            what = "lost" if len(values) < len(first[key]) else "doubled"
            differences.append(f"{what}: {name} ({len(values)} instead of {len(first[key])})")
        elif first[key] == second[key] != values:
            differences.append(f"wrong: {name} is {str(values)[:200]}, was {str(first[key])[:200]}")
    for key in found.keys() - first.keys() - second.keys():
        what = "left" if key[0] == "file" else "doubled"
        differences.append(f"{what}: {' / '.join(key)} should not be there")
    return sorted(differences)
