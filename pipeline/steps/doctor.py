"""The step `doctor`: what works here, what does not, and what to do about it."""

import platform
import shutil
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path

import torch
from packaging.requirements import Requirement

from pipeline.config.options import DoctorSettings
from pipeline.config.settings import texts
from pipeline.console import Console
from pipeline.errors import PipelineError
from pipeline.files import beside, check_place, temporary_folder
from pipeline.fit.tasks import CHECKPOINTS
from pipeline.health import LEAST_ROOM, temporary_place
from pipeline.records.words import counted
from pipeline.tracking import adopted_run, survey
from pipeline.training import device as devices

DISTRIBUTION = "why-zero"
TESTED_ON = "Linux"
_BROWSERS = ("chromium", "google-chrome")
_MANAGERS = ("uv", "conda", "pyenv")  # pyenv is what `--env-manager virtualenv` starts with


def run(settings: DoctorSettings, console: Console) -> None:
    """Check everything, a line for each, and fail if training would.

    Raises:
        PipelineError: some check has failed.
    """
    checks: dict[str, Callable[[], str]] = {
        "system": _system,
        "packages": _packages,
        "device": lambda: _device(settings.device),
        "store": survey,
        "folders": _folders,
    }
    failed = 0
    for name, check in checks.items():
        try:
            mark, said = "ok", check()
        except PipelineError as problem:
            mark, said = "no", str(problem)
            failed += 1
        console.line(f"{mark:<4} {name:<10} {said}")
    for name, there, remedy in _extras():
        console.line(f"{'ok' if there else 'note':<4} {name:<10} {there or remedy}")
    if failed:
        count = counted(failed, "check")
        raise PipelineError(f"training needs all of these, and {count} failed: see the lines `no`")
    with adopted_run("doctor", texts(settings)):
        console.line("Training works here.")


def _system() -> str:
    system = platform.system()
    untested = "" if system == TESTED_ON else f" (tested on {TESTED_ON} only)"
    return f"Python {platform.python_version()} on {system} {platform.machine()}{untested}"


def _packages() -> str:
    """The versions that matter most, if all are in the range that is supported."""
    unfit = [fault for line in _required() if (fault := _fault(Requirement(line)))]
    if unfit:
        needed = " ".join(f'"{requirement}"' for requirement, _ in unfit)
        got = ", ".join(f"{requirement.name} {there}" for requirement, there in unfit)
        raise PipelineError(
            f"packages must be in their tested ranges, got {got}: pip install {needed}"
        )
    return f"torch {torch.__version__}, MLflow {version('mlflow')}"


def _required() -> Sequence[str]:
    """What the package needs; nothing where it runs from a checkout without being installed."""
    try:
        return requires(DISTRIBUTION) or ()
    except PackageNotFoundError:
        return ()


def _fault(requirement: Requirement) -> tuple[Requirement, str] | None:
    """The requirement without its condition, and what is there instead; None where it is met."""
    if requirement.marker and not requirement.marker.evaluate({"extra": "pipeline"}):
        return None
    requirement.marker = None
    try:
        there = version(requirement.name)
    except PackageNotFoundError:
        return requirement, "not installed"
    return None if requirement.specifier.contains(there, prereleases=True) else (requirement, there)


def _device(name: str) -> str:
    """The device that would train, after it has computed something."""
    device = devices.resolve(name)
    try:
        product = torch.eye(2, device=device) @ torch.ones(2, device=device)
        is_right = product.tolist() == [1.0, 1.0]
    except RuntimeError as error:
        raise PipelineError(
            f"a device must compute, got {str(error).splitlines()[0]} on {device}: repair its "
            "driver, or give device=cpu"
        ) from error
    if not is_right:
        raise PipelineError(f"a device must compute, got wrong numbers on {device}: replace it")
    threads = f", {torch.get_num_threads()} threads" if device.type == "cpu" else ""
    room = f", {devices.memory_to_use(device) / 1e9:.1f} GB for stacks"
    return f"{devices.describe(device)}{threads}{room}"


def _folders() -> str:
    """The room in the folders that are written beside the store, after they were tried."""
    temporary = temporary_place()
    for place in (CHECKPOINTS, temporary):
        check_place(place, LEAST_ROOM)
    with temporary_folder() as work:
        (work / "written").write_bytes(bytes(1 << 20))
    try:
        with beside(CHECKPOINTS / "doctor" if CHECKPOINTS.exists() else CHECKPOINTS) as work:
            (work / "written").write_bytes(bytes(1 << 20))
    except (OSError, NotImplementedError) as error:  # the second: a file system without locks
        raise PipelineError(
            f"files must be written and locked in {CHECKPOINTS.absolute()}, got {error}: start in "
            "another folder"
        ) from error
    here, there = (shutil.disk_usage(place).free / 1e9 for place in (Path(), temporary))
    return f"{here:.1f} GB free here, {there:.1f} GB in {temporary}"


def _extras() -> Iterator[tuple[str, str, str]]:
    """What only some need: who, what is there (empty if it is missing), and how to get it."""
    manager = next(filter(shutil.which, _MANAGERS), "")
    remedy = "give --env-manager local, or for environments: pip install uv"
    yield "mlflow run", f"{manager} makes environments" if manager else "", remedy
    has_onnx = all(map(find_spec, ("onnx", "onnxruntime", "onnxscript")))
    yield "export", "with ONNX" if has_onnx else "", f"pip install '{DISTRIBUTION}[onnx]'"
    browser = next(filter(shutil.which, _BROWSERS), "") if find_spec("playwright") else ""
    remedy = "those with a browser are skipped: pip install playwright; apt install chromium"
    yield "tests", f"with {browser}" if browser else "", remedy
    if devices.resolve("auto").type == "cpu" and shutil.which("nvidia-smi"):
        remedy = (
            "there is a driver of NVIDIA, which this torch cannot use: "
            "https://pytorch.org/get-started/locally has the command that installs one that can"
        )
        yield "gpu", "", remedy
