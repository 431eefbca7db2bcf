"""Imports a bundle into a store: what exists stays, what is missing is created.

Every part remembers in the tag `imported_from` what it was made from, so that a second import
finds it, and one that was interrupted is completed. What is there and is not so in the bundle is
refused before anything is written.
"""

from mlflow.entities import LoggedModel, LoggedModelOutput, LoggedModelStatus
from mlflow.entities import Run as StoredRun

from pipeline.bundle.contents import ORIGIN
from pipeline.bundle.read import Bundle
from pipeline.errors import PipelineError
from pipeline.tracking.address import run_page, ui_base, ui_command
from pipeline.tracking.registry import Registry, Version
from pipeline.tracking.store import Store, found_or_none
from pipeline.tracking.transfer.same_run import check_same_model, check_same_run
from pipeline.tracking.transfer.write_run import BEGUN, DIGEST, fill_model, fill_run


def import_bundle(store: Store, bundle: Bundle, *, is_forced: bool = False) -> list[str]:
    """Write a verified bundle into a store, and return what was done, a line for each part.

    Args:
        store: an open store.
        bundle: as `received` gives it.
        is_forced: move an alias that points to another version there.

    Raises:
        PipelineError: what is there differs, or the store refused; what was written stays, and
            another import resumes.
    """
    importing = _Import(store, bundle)
    with store.writing():
        importing.check()
        experiment_id = importing.experiment()
        run = importing.run(experiment_id)
        model_id = importing.model(run)
    version = importing.version(run, model_id)
    importing.aliases(version, is_forced=is_forced)
    importing.point_to(run)
    return importing.said


class _Import:
    """The import of one bundle into one store."""

    def __init__(self, store: Store, bundle: Bundle) -> None:
        self.said: list[str] = []
        self._store = store
        self._client = store.client
        self._registry = Registry(store)
        self._bundle = bundle
        self._contents = bundle.contents

    def check(self) -> None:
        """Return if what is there already is what the bundle says of it.

        Raises:
            PipelineError: it differs.
        """
        run = self._found_run()
        if run is None:
            return
        if not self._is_complete(run):
            if run.data.tags.get(BEGUN, self._bundle.digest) != self._bundle.digest:
                raise PipelineError(
                    "an import must be completed with the bundle that it was begun with, got "
                    f"another for run {run.info.run_id}: import that one, or delete the run"
                )
            return
        if run.data.tags.get(DIGEST) != self._bundle.digest:
            check_same_run(self._store, run, self._bundle, ours=frozenset({ORIGIN, DIGEST, BEGUN}))
        model = self._found_model(run)
        if model is None or model.status == LoggedModelStatus.READY:
            check_same_model(self._store, run, self._bundle, model=model)

    def experiment(self) -> str:
        """The id of the experiment with this name, created if there is none."""
        record = self._contents.experiment
        found = self._client.get_experiment_by_name(record.name)
        if found is None:
            self._say("experiment", record.name, "created")
            return str(self._client.create_experiment(record.name, tags=dict(record.tags)))
        if found.lifecycle_stage != "active":
            raise PipelineError(
                f"the experiment must not be deleted, got {record.name!r}: restore it with `mlflow "
                f"experiments restore --experiment-id {found.experiment_id}`"
            )
        self._say("experiment", record.name, "already there")
        return str(found.experiment_id)

    def run(self, experiment_id: str) -> StoredRun:
        """The run, created or completed unless it is already complete."""
        record = self._contents.run
        origin = record.tags.get(ORIGIN, record.id)
        found = self._found_run()
        if found and self._is_complete(found):
            digest = found.data.tags.get(DIGEST, self._bundle.digest)
            same = (
                "already there"
                if digest == self._bundle.digest
                else "already there, from another bundle"
            )
            self._say("run", record.name, f"{same} ({found.info.run_id})")
            return found
        tags = {**record.tags, ORIGIN: origin}
        tags.pop(DIGEST, None)
        begun = {**tags, BEGUN: self._bundle.digest}
        run = found or self._client.create_run(
            experiment_id, record.start_ms, begun, run_name=record.name
        )
        fill_run(self._client, run.info.run_id, self._bundle, tags=tags)
        count = sum(len(points) for points in self._contents.metrics.values())
        done = "completed" if found else "created"
        self._say("run", record.name, f"{done} ({run.info.run_id}), {count} metric points")
        return self._client.get_run(run.info.run_id)

    def model(self, run: StoredRun) -> str:
        """The id of the logged model, created or completed unless it is already complete."""
        record = self._contents.model
        origin = record.tags.get(ORIGIN, record.id)
        found = self._found_model(run)
        if found and found.status == LoggedModelStatus.READY:
            self._say("logged model", record.name, f"already there ({found.model_id})")
            return str(found.model_id)
        model = found or self._client.create_logged_model(
            run.info.experiment_id,
            record.name,
            run.info.run_id,
            tags={**record.tags, ORIGIN: origin},
            params=dict(record.parameters),
            model_type=record.type,
        )
        outputs = run.outputs.model_outputs if run.outputs else []
        if model.model_id not in {output.model_id for output in outputs}:
            output = LoggedModelOutput(model.model_id, step=record.step)
            self._client.log_outputs(run.info.run_id, [output])
        fill_model(self._client, model, self._bundle, run_id=run.info.run_id)
        self._client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
        self._say("logged model", record.name, f"created ({model.model_id})")
        return str(model.model_id)

    def version(self, run: StoredRun, model_id: str) -> Version:
        """The version of the registered model, created unless the model is already registered."""
        record, source = self._contents.version, f"models:/{model_id}"
        versions = self._registry.versions(record.name)
        for version in versions:
            if version.source == source:
                self._say("version", version.address, "already there")
                return version
        with self._store.writing():
            if found_or_none(lambda: self._client.get_registered_model(record.name)) is None:
                self._client.create_registered_model(
                    record.name, dict(record.model_tags), record.model_description or None
                )
        made = self._registry.create(
            record.name,
            source,
            run_id=run.info.run_id,
            tags={**record.tags, ORIGIN: f"models:/{record.name}/{record.version}"},
            description=self._linked(record.description, run),
        )
        self._say("version", made.address, "created")
        return made

    def aliases(self, version: Version, *, is_forced: bool) -> None:
        """Set the aliases; one that points elsewhere moves only if forced."""
        for alias in self._contents.version.aliases:
            holder = self._registry.holder(version.name, alias)
            if holder and holder.version == version.version:
                self._say("alias", alias, "already there")
            elif holder and not is_forced:
                self._say("alias", alias, f"stays at version {holder.version}; force=true moves it")
            else:
                self._registry.point(alias, version)
                moved = f", moved from version {holder.version}" if holder else ""
                self._say("alias", alias, f"set to version {version.version}{moved}")

    def point_to(self, run: StoredRun) -> None:
        """Say where to see it."""
        if command := ui_command(self._store.uri):
            self.said.append(f"open the UI:  {command}")
        page = run_page(ui_base(self._store.uri), run.info.experiment_id, run.info.run_id)
        self.said.append(f"the run:      {page}")

    def _linked(self, text: str, run: StoredRun) -> str:
        """The text with its links to the run's page adapted to this store."""
        before = run_page("", self._contents.experiment.id, self._contents.run.id)
        return text.replace(before, run_page("", run.info.experiment_id, run.info.run_id))

    def _say(self, part: str, name: str, done: str) -> None:
        self.said.append(f"{part} {name}: {done}")

    def _is_complete(self, run: StoredRun) -> bool:
        """Whether it is no import that was interrupted."""
        return ORIGIN not in run.data.tags or DIGEST in run.data.tags

    def _found_run(self) -> StoredRun | None:
        """The run that the bundle was made from, or one that was made from it."""
        origin = self._contents.run.tags.get(ORIGIN, self._contents.run.id)
        run = found_or_none(lambda: self._client.get_run(origin))
        if run is not None and run.info.lifecycle_stage == "active":
            return run
        experiments = [experiment.experiment_id for experiment in self._client.search_experiments()]
        found = self._client.search_runs(experiments, f"tags.{ORIGIN} = '{origin}'")
        return next(iter(found), None)

    def _found_model(self, run: StoredRun) -> LoggedModel | None:
        """The logged model that the bundle was made from, or one that was made from it."""
        origin = self._contents.model.tags.get(ORIGIN, self._contents.model.id)
        model = found_or_none(lambda: self._client.get_logged_model(origin))
        if model is not None:
            return model
        found = self._client.search_logged_models(
            [run.info.experiment_id], f"tags.{ORIGIN} = '{origin}'"
        )
        return next(iter(found), None)
