"""The store's registered models: their versions, and the aliases that point to them."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from mlflow.entities.model_registry import ModelVersion

from pipeline.config.model_address import model_address
from pipeline.errors import PipelineError
from pipeline.tracking.environment import setting
from pipeline.tracking.store import Store, found_or_none

# What a database column holds; only SQLite would take more.
MOST_CHARACTERS = 5000


@dataclass(frozen=True, kw_only=True)
class Version:
    """One version of a registered model.

    Attributes:
        name: of the registered model.
        version: its number, from 1 on.
        run_id: the run that logged the model; empty if unknown.
        source: the address of the logged model, for MLflow's `load_model`.
        tags: its tags.
        aliases: those that point to it.
        description: Markdown.
    """

    name: str
    version: int
    run_id: str
    source: str
    tags: Mapping[str, str]
    aliases: tuple[str, ...]
    description: str

    @property
    def address(self) -> str:
        """The address of this very version, whatever its aliases point to."""
        return f"models:/{self.name}/{self.version}"

    @property
    def page(self) -> str:
        """A link to the version's page that works inside MLflow's UI, such as in a description."""
        return f"#/models/{quote(self.name)}/versions/{self.version}"


class Registry:
    """The registered models of one store; `Tracker.registry` gives it.

    Every method raises `PipelineError` where the store refuses. Names and aliases are as
    `model_address` has them.
    """

    def __init__(self, store: Store) -> None:
        """Use an open store."""
        self._store = store

    def find(self, address: str) -> Version:
        """The version at `models:/NAME@ALIAS` or `models:/NAME/VERSION`.

        Raises:
            UsageError: the text is no such address.
            PipelineError: there is no such version.
        """
        wanted = model_address(address)
        versions = self.versions(wanted.name)
        for version in versions:
            if version.version == wanted.version or wanted.alias in version.aliases:
                return version
        aliases = [f"@{alias}" for version in versions for alias in version.aliases]
        known = ", ".join([*(str(version.version) for version in versions), *aliases])
        raise PipelineError(
            f"a registered model must exist, got {address}: "
            + (f"{wanted.name} has {known}" if versions else "register it first")
        )

    def holder(self, name: str, alias: str) -> Version | None:
        """The version that an alias points to; None where there is no such model or alias."""
        return next((version for version in self.versions(name) if alias in version.aliases), None)

    def versions(self, name: str) -> list[Version]:
        """All versions of a registered model, newest first; none where there is no such model."""
        client = self._store.client
        with self._store.writing():
            # A search returns versions without aliases: these come with the model.
            aliases = self._aliases(name)
            if aliases is None:
                return []
            stored: list[ModelVersion] = []
            token: str | None = ""
            while token is not None:
                page = client.search_model_versions(f"name = '{name}'", page_token=token or None)
                stored += page
                token = page.token or None
        found = [_version(version, aliases) for version in stored]
        return sorted(found, key=lambda version: version.version, reverse=True)

    def of_run(self, name: str, run_id: str) -> Version | None:
        """The newest version of this name whose model this run logged; None if there is none."""
        return next((version for version in self.versions(name) if version.run_id == run_id), None)

    def create(
        self,
        name: str,
        source: str,
        *,
        run_id: str,
        tags: Mapping[str, str],
        description: str,
    ) -> Version:
        """Register a logged model as a new version; one that fails leaves nothing behind.

        Args:
            name: of the registered model, created if it is new.
            source: the address of the logged model, as `log_model` returned it.
            run_id: of the run that logged it.
            tags: of the version; each is cut at 5,000 characters.
            description: Markdown, cut at 5,000 characters.
        """
        client = self._store.client
        # The registry looks the logged model up in the store of the environment, whichever that is.
        with self._store.writing(), setting({"MLFLOW_TRACKING_URI": self._store.uri}):
            is_new = self._aliases(name) is None
            if is_new:
                client.create_registered_model(name)
            try:
                made = client.create_model_version(
                    name,
                    source,
                    run_id,
                    tags={key: value[:MOST_CHARACTERS] for key, value in tags.items()},
                    description=description[:MOST_CHARACTERS],
                    model_id=source.removeprefix("models:/"),
                )
            except BaseException:
                if is_new:
                    client.delete_registered_model(name)
                raise
        return _version(made, {})

    def describe(self, name: str, text: str) -> None:
        """Describe a registered model, unless somebody has; cut at 5,000 characters."""
        client = self._store.client
        with self._store.writing():
            if not client.get_registered_model(name).description:
                client.update_registered_model(name, text[:MOST_CHARACTERS])

    def tag(self, version: Version, tags: Mapping[str, str]) -> None:
        """Set tags of a version, over their old values; each is cut at 5,000 characters."""
        with self._store.writing():
            for key, value in tags.items():
                self._store.client.set_model_version_tag(
                    version.name, str(version.version), key, value[:MOST_CHARACTERS]
                )

    def point(self, alias: str, version: Version) -> None:
        """Point the alias to this version, and no longer to another of its model."""
        with self._store.writing():
            self._store.client.set_registered_model_alias(version.name, alias, str(version.version))

    def _aliases(self, name: str) -> Mapping[str, int] | None:
        """The number of the version that each alias points to; None without such a model."""
        model = found_or_none(lambda: self._store.client.get_registered_model(name))
        # A number from a database, a text from a server.
        return (
            None if model is None else {key: int(number) for key, number in model.aliases.items()}
        )


def _version(stored: ModelVersion, aliases: Mapping[str, int]) -> Version:
    """The record of MLflow's version."""
    number = int(stored.version)
    return Version(
        name=stored.name,
        version=number,
        run_id=stored.run_id or "",
        source=stored.source or "",
        tags=stored.tags,
        aliases=tuple(alias for alias, pointed in aliases.items() if pointed == number),
        description=stored.description or "",
    )
