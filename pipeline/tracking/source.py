"""Which code made a run: user, command and commit, under MLflow's own tags."""

import subprocess
from functools import cache
from pathlib import Path

from mlflow.tracking.context.git_context import GitRunContext
from mlflow.tracking.context.registry import resolve_tags
from mlflow.utils.mlflow_tags import MLFLOW_GIT_BRANCH, MLFLOW_GIT_COMMIT

_PACKAGE = Path(__file__).parents[1]


@cache
def source_tags() -> dict[str, str]:
    """The tags that MLflow gives a run of its own, and those of `commit_tags`.

    MLflow takes the commit of the script's folder, through a library that is slow to import. Here
    it is that of this package's folder, and only where git keeps the package there: an installed
    copy inside another repository has no commit.
    """
    # MLflow's annotation asks for instances here; its code compares classes.
    standard = resolve_tags(ignore=[GitRunContext])  # type: ignore[list-item]
    return {**standard, **commit_tags()}


@cache
def commit_tags() -> dict[str, str]:
    """The commit and branch of this package, and `dirty` where it differs from them."""
    if not _git("ls-files", "--", "__init__.py"):
        return {}
    lines = _git("status", "--porcelain=v2", "--branch", "--", ".").splitlines()
    tags = {}
    for line in lines:
        match line.split(" ", 2):
            case ["#", "branch.oid", commit] if commit != "(initial)":
                tags[MLFLOW_GIT_COMMIT] = commit
            case ["#", "branch.head", branch] if branch != "(detached)":
                tags[MLFLOW_GIT_BRANCH] = branch
    if any(not line.startswith("#") for line in lines):
        tags["dirty"] = "true"
    return tags


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(_PACKAGE), *arguments]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return ""  # no git, or no repository: then there is no commit to name
    return answer.stdout
