"""The step `import`: a bundle into a store, every digest verified before anything is written."""

from pipeline.bundle import open_bundle
from pipeline.config.options import ImportSettings
from pipeline.config.settings import texts
from pipeline.console import Console
from pipeline.files import given_path
from pipeline.tracking import adopted_run, import_bundle, open_at


def run(settings: ImportSettings, console: Console) -> None:
    """Import the bundle, and report for each part whether it was created or already there.

    Raises:
        PipelineError: the bundle is refused and nothing is written, or the store refused.
    """
    with (
        open_bundle(given_path(settings.bundle)) as bundle,
        adopted_run("import", texts(settings)),
    ):
        console.line(f"verified: {bundle.summary.model}, SHA-256 of its digests {bundle.digest}")
        store = open_at(None if settings.to == "auto" else settings.to)
        for line in import_bundle(store, bundle, is_forced=settings.force):
            console.line(line)
    console.elapsed("done")
