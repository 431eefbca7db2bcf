"""Opens runs in one experiment, and finds those that have finished."""

import logging
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal, TypeVar

from mlflow.entities import Experiment
from mlflow.entities import Run as StoredRun
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, ErrorCode
from mlflow.store.entities import PagedList

from pipeline.errors import PipelineError
from pipeline.files import temporary_folder
from pipeline.tracking import operations
from pipeline.tracking.address import (
    comparison_page,
    experiment_page,
    run_page,
    tagged,
    ui_base,
    ui_command,
    view_page,
)
from pipeline.tracking.begun import BegunRun, begun_run
from pipeline.tracking.connectivity import local_folder, sqlite_file
from pipeline.tracking.found_run import (
    FoundRun,
    found,
    is_own,
    local_artifacts,
    missing_artifacts,
)
from pipeline.tracking.operations import is_whole
from pipeline.tracking.outbox import identity_of
from pipeline.tracking.processes import TAG, host, is_dead, this_process
from pipeline.tracking.registry import Registry
from pipeline.tracking.runs import Run
from pipeline.tracking.source import commit_tags, source_tags
from pipeline.tracking.store import Store, found_or_none, one_line
from pipeline.tracking.views.keep import keep, kept_ids
from pipeline.tracking.views.view import View

T = TypeVar("T")
# A compacted network is another's, not trained: it is in no comparison of trained ones.
Kind = Literal["network", "compacted", "step"]

_logger = logging.getLogger(__name__)
_MANY, _FEW = 1000, 20  # runs in an answer
_NEWEST_FIRST = "attributes.start_time DESC"
_NOT_UNDERSTOOD = ErrorCode.Name(INVALID_PARAMETER_VALUE)
_COLOR_TAG = "mlflow.runColor"  # written by the UI when a user picks a colour
# MLflow gives unnamed runs the name of an animal: `skillful-hog-212`.
_NAMELESS = re.compile(r"[a-z]+-[a-z]+-\d+")


class Tracker:
    """One experiment of one store.

    Attributes:
        uri: the store's tracking URI.
        experiment_id: the experiment's id.
        registry: the store's registered models, whatever the experiment.
        ui: the address of the UI; no slash at its end.
    """

    def __init__(self, store: Store, *, ui: str | None = None) -> None:
        """Use an open store; `connect` opens it. The UI is where `ui_command` would serve it."""
        self._store = store
        self.ui = ui or ui_base(store.uri)
        self.uri = store.uri
        self.experiment_id = store.experiment_id
        self.registry = Registry(store)

    @cached_property
    def identity(self) -> str:
        """What tells this experiment from others, wherever its store is moved to.

        It is no secret: it may be written anywhere.
        """
        return identity_of(self._experiment)

    @property
    def places(self) -> list[Path]:
        """The folders on this machine that runs are written to; none where a server has all."""
        database = sqlite_file(self.uri)
        artifacts = local_folder(self._experiment.artifact_location)
        return [folder for folder in (database and database.parent, artifacts) if folder]

    @cached_property
    def _experiment(self) -> Experiment:
        return self._store.ask(lambda: self._store.client.get_experiment(self.experiment_id))

    @property
    def ui_command(self) -> str | None:
        """The command that serves the UI; None where a server serves it already."""
        return ui_command(self.uri)

    def at(self, experiment_id: str | None, *, ui: str) -> "Tracker":
        """A tracker on an experiment of the same store, None for this one, whose UI is there."""
        here = replace(self._store, experiment_id=experiment_id or self.experiment_id)
        return Tracker(here, ui=ui)

    @property
    def experiment_page(self) -> str:
        """The address of the experiment's runs."""
        return experiment_page(self.ui, self.experiment_id)

    def comparison_page(self, search: str, *, order_by: str | None = None) -> str:
        """The address of the charts that compare the runs a search finds: see `address`."""
        return comparison_page(self.ui, self.experiment_id, search, order_by=order_by)

    def save_views(self, views: Sequence[View]) -> dict[str, str]:
        """Keep views in the UI's "Views" menu, and return the addresses that open them, by name.

        Views that a user changed or deleted are left alone; views that do not exist are not in the
        mapping. A run never fails for its views: a problem is one warning.

        Args:
            views: in the order of the menu.
        """
        try:
            kept = keep(self._store, views)
        except PipelineError as problem:
            _logger.warning("The views in MLflow's UI were not updated: %s", problem)
            return {}
        return self._addresses(kept)

    def kept_views(self) -> dict[str, str]:
        """The addresses that open the views of the "Views" menu, by name."""
        return self._addresses(kept_ids(self._store))

    def _addresses(self, ids: Mapping[str, str]) -> dict[str, str]:
        return {name: view_page(self.ui, self.experiment_id, id_) for name, id_ in ids.items()}

    def run_page(self, run_id: str) -> str:
        """The address of a run's page."""
        return run_page(self.ui, self.experiment_id, self._store.known(run_id))

    def address(self, link: str) -> str:
        """The address of a link that works inside the UI, such as `Run.page`."""
        return f"{self.ui}/{self._store.known(link)}"

    def link(self, run_id: str) -> str:
        """A link to a run's page that works inside the UI, such as in a description."""
        return run_page("", self.experiment_id, run_id)

    def is_settled(self) -> bool:
        """Whether the store has all that was logged, once it has or has taken nothing for long."""
        return self._store.outbox is None or self._store.outbox.wait()

    def known(self, text: str) -> str:
        """A text with the ids of runs as the store has them, as far as it has the runs."""
        return self._store.known(text)

    @property
    def may_go_away(self) -> bool:
        """Whether the store is a server's that training does not wait for."""
        return self._store.outbox is not None

    def attempt(self, ask: Callable[[], T], otherwise: T) -> T:
        """What the store answers; this where a server that is away would have to be waited for.

        For what training asks on its way. `ask` uses this tracker.
        """
        return self._store.attempt(ask, otherwise)

    def start_network(
        self,
        name: str,
        parameters: Mapping[str, str],
        *,
        step: str,
        tags: Mapping[str, str],
        color: str | None = None,
        kind: Kind = "network",
        goes_on: bool = False,
    ) -> Run:
        """Open a separate run for a network, without a parent, so that the UI compares it.

        Args:
            name: its display name.
            parameters: its settings as canonical text.
            step: the step that trains it.
            tags: what else to tag it with, such as arm, pipeline and fingerprint.
            color: of its lines in the UI, `#rrggbb`; None for one of the UI's, which may be
                another run's too.
            kind: `network` for one that was trained.
            goes_on: reopen the run that a killed process had begun with the same fingerprint.
        """
        begun = None
        if goes_on:
            mark = tags["fingerprint"]
            begun = self.attempt(lambda: self.begun([mark], kind=kind).get(mark), None)
        if begun is not None:
            run = self.reopen(begun, name)
            with run.ending_unless_done():
                run.parameters(parameters)
                run.tags(tags)
            return run
        if color is not None:
            tags = {**tags, _COLOR_TAG: color}
        return self._start(kind, name, parameters, step=step, tags=tags)

    def start_step(
        self,
        step: str,
        name: str,
        *,
        parameters: Mapping[str, str],
        tags: Mapping[str, str] | None = None,
    ) -> Run:
        """Open the run of a step; the first takes over the run that `mlflow run` opened, if any.

        That run already has the parameters as typed; they stay.

        Args:
            step: the step.
            name: the display name of the run; a name given to `mlflow run` stays.
            parameters: its settings as canonical text.
            tags: what else to tag it with.
        """
        # Removed, so that neither a later step nor a worker process reuses the run.
        opened = os.environ.pop("MLFLOW_RUN_ID", None)
        if opened is None:
            return self._start("step", name, parameters, step=step, tags=tags or {})
        with self._store.writing():
            before = self._store.client.get_run(opened)
            if _NAMELESS.fullmatch(before.info.run_name):
                self._store.client.update_run(opened, name=name)
            else:
                name = before.info.run_name
        run = Run(self._store, opened, name)
        with run.ending_unless_done():
            owner = {TAG: this_process()}
            run.tags(commit_tags() | {**(tags or {}), **owner, "kind": "step", "step": step})
            typed = before.data.params
            run.parameters({key: value for key, value in parameters.items() if key not in typed})
        return run

    def finished(
        self, fingerprint: str, *, kind: Kind = "network", has_files: bool = True
    ) -> FoundRun | None:
        """The newest run with this fingerprint that finished and still has what it needs.

        A network needs no pictures and no model: they can be made from its history and weights.
        One that a bundle brought does not count: nobody here has computed it.

        Args:
            fingerprint: the value of its tag `fingerprint`.
            kind: of the run.
            has_files: whether such a run has artifacts at all.
        """
        for run in self._finished({"fingerprint": fingerprint}, kind):
            if not has_files or self._is_whole(run):
                return found(run)
        return None

    def finished_all(
        self, fingerprints: Collection[str], *, kind: Kind = "network"
    ) -> dict[str, FoundRun]:
        """What `finished` finds for many fingerprints, by them; nothing for the others.

        Networks that were trained at once are looked up at once. Such a run is taken even if a
        later one has the same fingerprint, and so the same numbers.

        Args:
            fingerprints: the values of their tags `fingerprint`.
            kind: of the runs.
        """
        candidates: dict[str, StoredRun] = {}
        for key in dict.fromkeys(fingerprints):
            if key in candidates:
                continue
            newest = next(iter(self._finished({"fingerprint": key}, kind)), None)
            if newest is None:
                continue
            candidates[key] = newest
            if stack := newest.data.tags.get("stack"):
                for run in self._finished({"stack": stack}, kind, page=_MANY):
                    candidates.setdefault(run.data.tags["fingerprint"], run)
        wanted = {key: candidates[key] for key in fingerprints if key in candidates}
        runs = {
            key: found(run) if self._is_whole(run) else self.finished(key, kind=kind)
            for key, run in wanted.items()
        }
        return {key: run for key, run in runs.items() if run}

    def _finished(
        self, tags: Mapping[str, str], kind: Kind, *, page: int = _FEW
    ) -> Iterator[StoredRun]:
        """The finished runs with these tags that this store has computed, newest first."""
        tags = {**tags, "kind": kind, "outcome": "finished"}
        runs = self._stored(f"{tagged(tags)} and attributes.status = 'FINISHED'", page=page)
        return (run for run in runs if is_own(run))

    def _is_whole(self, run: StoredRun) -> bool:
        """Whether the files that a finished run must have still exist; warns if not."""
        lost = missing_artifacts(run)
        if lost:
            _logger.warning(
                "a finished run must have its files, got none at %s for %r (%s): it is computed "
                "again", lost, run.info.run_name, run.info.run_id,
            )  # fmt: skip
        return not lost

    def search(
        self, search: str, *, experiments: Sequence[str] = (), everywhere: bool = False
    ) -> list[FoundRun]:
        """The ended runs that a search finds, newest first, without deleted ones.

        Args:
            search: from `tagged` or `any_of`, or as a user typed it.
            experiments: the names of those to search; none for this tracker's own.
            everywhere: search all experiments of the store instead.

        Raises:
            PipelineError: the store does not understand the search, or has no such experiment.
        """
        ids = self._searched(experiments, everywhere=everywhere)
        return list(self._ended(self._stored(search, ids)))

    def newest(
        self, search: str, *, experiments: Sequence[str] = (), everywhere: bool = False
    ) -> Iterator[FoundRun]:
        """The same one by one, for who needs only the first few: no others are asked for."""
        ids = self._searched(experiments, everywhere=everywhere)
        return self._ended(self._stored(search, ids, page=_FEW))

    def _searched(self, experiments: Sequence[str], *, everywhere: bool) -> list[str]:
        if everywhere:
            return self._all_experiment_ids()
        return [self._experiment_id(name) for name in experiments]

    @staticmethod
    def _ended(stored: Iterable[StoredRun]) -> Iterator[FoundRun]:
        return (found(run) for run in stored if run.info.status != "RUNNING")

    def end_abandoned(self) -> None:
        """Mark the runs as killed that dead processes of this machine left open."""
        search = f"attributes.status = 'RUNNING' and tags.{TAG} LIKE '{host()}/%'"
        for stored in list(self._stored(search)):  # ending one moves the others to other pages
            if is_dead(stored.data.tags[TAG]):
                run = Run(self._store, stored.info.run_id, stored.info.run_name)
                run.end("killed", "its process has died")

    def runs_of(self, stack: str) -> dict[str, str]:
        """The ids of the runs of one stack of networks, by the networks' fingerprints.

        Args:
            stack: the value of their tag `stack`.
        """
        runs = [run for run in self._stored(f"tags.stack = '{stack}'") if is_own(run)]
        return {run.data.tags["fingerprint"]: run.info.run_id for run in runs}

    def begun(self, fingerprints: Collection[str], *, kind: Kind = "network") -> dict[str, str]:
        """The newest run with each of these fingerprints that was killed or failed, to reopen it.

        Also one that has failed at its very end, when its status had become FINISHED.

        Args:
            fingerprints: the values of their tags `fingerprint`; those without such a run are not
                in the answer.
            kind: of the runs.
        """
        if len(fingerprints) <= _FEW:
            searches = [tagged({"fingerprint": each, "kind": kind}) for each in fingerprints]
        else:  # in one search rather than thousands
            ended = (
                *(f"attributes.status = '{status}'" for status in ("KILLED", "FAILED")),
                "attributes.status = 'FINISHED' and tags.outcome = 'failed'",
            )
            searches = [f"{each} and tags.kind = '{kind}'" for each in ended]
        runs: dict[str, StoredRun] = {}
        page = _FEW if len(fingerprints) <= _FEW else _MANY
        for run in (run for search in searches for run in self._stored(search, page=page)):
            key = run.data.tags.get("fingerprint", "")
            status, outcome = run.info.status, run.data.tags.get("outcome")
            is_late = (status, outcome) == ("FINISHED", "failed")
            if (status in {"KILLED", "FAILED"} or is_late) and key in fingerprints and is_own(run):
                runs[key] = max(runs.get(key, run), run, key=lambda each: each.info.start_time)
        return {key: str(run.info.run_id) for key, run in runs.items()}

    def begun_runs(self, run_ids: Mapping[str, str], key: str) -> dict[str, BegunRun]:
        """What runs to be reopened hold, by whatever they are given by.

        Args:
            run_ids: of the runs.
            key: the metric that is written after all others of its epoch.
        """
        return {name: begun_run(self._store, run_id, key) for name, run_id in run_ids.items()}

    def reopen(self, run_id: str, name: str) -> Run:
        """Reopen a network's interrupted run, to resume it.

        Artifacts that its end had begun to write are removed, because they are written again.
        A model that it had logged stays, for `log_model` to find.

        Args:
            run_id: of the run.
            name: for messages.
        """
        self._store.do(operations.reopen, run_id, process=this_process())
        return Run(self._store, run_id, name)

    def adding_to(self, run: FoundRun) -> Run:
        """A run that has ended, to add what it lacks: it stays as it ended, whatever happens."""
        return Run(replace(self._store, experiment_id=run.experiment_id), run.id, run.name)

    def run(self, run_id: str) -> FoundRun:
        """The run with this id, whatever its experiment.

        Raises:
            PipelineError: there is none, or it was deleted.
        """
        run = self.run_or_none(run_id)
        if run is None:
            raise PipelineError(
                f"a run must exist and not be deleted, got {run_id!r}: "
                "copy its id from its page in MLflow's UI"
            )
        return run

    def run_or_none(self, run_id: str) -> FoundRun | None:
        """The run with this id, whatever its experiment; None without one or if it was deleted."""
        run = self._store.ask(lambda: found_or_none(lambda: self._store.client.get_run(run_id)))
        return None if run is None or run.info.lifecycle_stage != "active" else found(run)

    def history(self, run_id: str, key: str) -> list[tuple[int, float]]:
        """All points of one metric of a run: (step, value), by step."""
        points = self._store.ask(lambda: self._store.client.get_metric_history(run_id, key))
        return sorted((point.step, point.value) for point in points)

    def artifact(self, run_id: str, path: str, folder: Path | None = None) -> Path:
        """The local path of an artifact of a run; a copy, where the artifacts are elsewhere.

        Args:
            run_id: of the run.
            path: in its artifacts.
            folder: where a copy goes; None for a new one that nobody removes.

        Raises:
            PipelineError: there is none.
        """
        with self._store.writing():
            here = local_artifacts(self._store.client.get_run(run_id))
            if here is None:
                to = None if folder is None else str(folder)
                return Path(self._store.client.download_artifacts(run_id, path, to))
        if not (here / path).exists():
            raise PipelineError(
                f"an artifact must exist, got {path!r} of run {run_id}: "
                "restore its folder, or compute it again with force=true"
            )
        return here / path

    def has_artifact(self, run_id: str, path: str) -> bool:
        """Whether a run holds this artifact, and it can be read."""
        try:
            with temporary_folder() as folder:
                return self.artifact(run_id, path, folder).exists()
        except PipelineError:
            return False

    def files(self, run_id: str) -> set[str]:
        """The paths of all artifacts of a run."""
        with self._store.writing():
            folder = local_artifacts(self._store.client.get_run(run_id))
            if folder is None:
                return set(self._remote_files(run_id))
        return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}

    def _remote_files(self, run_id: str, folder: str | None = None) -> Iterator[str]:
        for item in self._store.client.list_artifacts(run_id, folder):
            if item.is_dir:
                yield from self._remote_files(run_id, item.path)
            else:
                yield item.path

    def has_model(self, run: FoundRun) -> bool:
        """Whether a run's model is ready and its files exist."""
        if run.model is None:
            return False
        ask = partial(self._store.client.get_logged_model, run.model.removeprefix("models:/"))
        model = self._store.ask(lambda: found_or_none(ask))
        return model is not None and is_whole(model)

    def _stored(
        self, search: str, experiment_ids: Sequence[str] = (), *, page: int = _MANY
    ) -> Iterator[StoredRun]:
        """MLflow's runs that a search finds, newest first; without ids in this experiment.

        Args:
            search: as MLflow understands it.
            experiment_ids: where to search.
            page: how many to ask for at a time; no more than are taken.
        """
        ids = list(experiment_ids) or [self.experiment_id]
        token: Any = ""  # text or bytes
        while token is not None:
            ask = partial(self._page, ids, search, token=token, most=page)
            runs = self._store.ask(ask)
            yield from runs
            token = runs.token or None

    def _page(
        self,
        ids: list[str],
        search: str,
        *,
        token: Any,  # noqa: ANN401 - as the store has it
        most: int,
    ) -> PagedList[StoredRun]:
        try:
            return self._store.client.search_runs(
                ids, search, max_results=most, order_by=[_NEWEST_FIRST], page_token=token or None
            )
        except MlflowException as refusal:
            if refusal.error_code != _NOT_UNDERSTOOD:
                raise
            raise PipelineError(
                f"a search must be a filter that MLflow understands, got {search!r} "
                f"({one_line(refusal)}): give one such as params.drop_rate = '0.5' and "
                "metrics.`val/accuracy` > 0.9"
            ) from refusal

    def experiment_name(self, experiment_id: str) -> str:
        """The name of an experiment."""
        if experiment_id == self.experiment_id:
            return str(self._experiment.name)
        with self._store.writing():
            return str(self._store.client.get_experiment(experiment_id).name)

    def _all_experiment_ids(self) -> list[str]:
        """The ids of all experiments that were not deleted."""
        ids: list[str] = []
        token: str | None = ""
        with self._store.writing():
            while token is not None:
                page = self._store.client.search_experiments(page_token=token or None)
                ids += [str(experiment.experiment_id) for experiment in page]
                token = page.token or None
        return ids

    def _experiment_id(self, name: str) -> str:
        with self._store.writing():
            experiment = self._store.client.get_experiment_by_name(name)
        if experiment is None:
            raise PipelineError(
                f"an experiment must exist, got {name!r}: MLflow's UI lists their names"
            )
        return str(experiment.experiment_id)

    def _start(
        self,
        kind: Kind,
        name: str,
        parameters: Mapping[str, str],
        *,
        step: str,
        tags: Mapping[str, str],
    ) -> Run:
        tags = {**source_tags(), **tags, TAG: this_process(), "kind": kind, "step": step}
        # A step's run comes first, and its id is printed.
        run_id = self._store.make_run(name=name, tags=tags, is_awaited=kind == "step")
        run = Run(self._store, run_id, name)
        with run.ending_unless_done():
            run.parameters(parameters)
        return run
