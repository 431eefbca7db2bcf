"""What is known of the store in use, before anything is logged to it."""

from mlflow.store.tracking import DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH as NEW_ARTIFACTS
from mlflow.utils.rest_utils import http_request

from pipeline.errors import PipelineError
from pipeline.files import check_place
from pipeline.redaction import redacted
from pipeline.tracking.address import is_server
from pipeline.tracking.connectivity import check_folder, sqlite_file
from pipeline.tracking.store import Store, check_writing, is_made, open_store, uri_in_use

OLDEST_SERVER = 3  # before, MLflow had no logged models


def survey() -> str:
    """The store in words, if runs can be written to it.

    A store that does not exist yet is not made; an experiment is, as for a run.

    Raises:
        PipelineError: runs cannot be written to it.
    """
    uri = uri_in_use()
    file = sqlite_file(uri)
    if file and not is_made(file):
        check_place(file.parent, 1)
        check_folder(NEW_ARTIFACTS)
        return f"{redacted(uri)}, which the first run makes"
    store = open_store(None)
    with store.writing():
        place = store.client.get_experiment(store.experiment_id)
        if is_server(uri):
            check_writing(store)
            server = f"MLflow {_server_version(store)} at "
        else:
            server = ""
    return (
        f"{server}{redacted(uri)}, experiment {place.name!r}, "
        f"artifacts in {redacted(place.artifact_location)}"
    )


def _server_version(store: Store) -> str:
    """The version of MLflow that a server says it has.

    Raises:
        PipelineError: it is too old.
    """
    credentials = store.client._tracking_client.store.get_host_creds()  # noqa: SLF001 - no other way
    answer = http_request(credentials, "/version", "GET")
    said = str(answer.text).strip() if answer.ok else "of an unknown version"
    major = said.partition(".")[0]
    if major.isdecimal() and int(major) < OLDEST_SERVER:
        raise PipelineError(
            f"the tracking server must be MLflow {OLDEST_SERVER} or newer, got {said} at "
            f'{redacted(store.uri)}: pip install --upgrade "mlflow>={OLDEST_SERVER}" there'
        )
    return said
