"""What is pinned for MLflow's environments is what the package asks for."""

import ast
import re
import subprocess
import sys
import tarfile
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from hatchling.build import build_sdist
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from pipeline import __version__

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRA = PROJECT["optional-dependencies"]["pipeline"]
ASKED: dict[str, SpecifierSet] = {}
for requirement in map(Requirement, [*PROJECT["dependencies"], *EXTRA]):
    ASKED[requirement.name] = requirement.specifier & ASKED.get(requirement.name, SpecifierSet())


def pinned() -> dict[str, Requirement]:
    *_, pip = yaml.safe_load((ROOT / "conda.yaml").read_text("utf-8"))["dependencies"]
    return {Requirement(text).name: Requirement(text) for text in pip["pip"]}


def test_conda_yaml_pins_every_dependency_and_nothing_else() -> None:
    assert set(pinned()) == set(ASKED)


@pytest.mark.parametrize("name", ASKED)
def test_every_pin_is_one_version_within_the_range(name: str) -> None:
    [pin] = pinned()[name].specifier
    assert pin.operator == "=="
    assert ASKED[name].contains(pin.version)


def test_what_is_installed_is_within_the_ranges() -> None:
    for name, asked in ASKED.items():
        assert asked.contains(version(name), prereleases=True), name


def test_the_version_is_the_same_everywhere() -> None:
    assert PROJECT["version"] == __version__
    heading = "## Unreleased" if "dev" in __version__ else f"## {__version__} - "
    assert heading in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_the_source_distribution_holds_what_the_readme_shows_and_the_tests_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    with tarfile.open(tmp_path / build_sdist(str(tmp_path))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    linked = re.findall(r"\]\((?!http)([^)#]+)", (ROOT / "README.md").read_text("utf-8"))
    assert linked
    assert names >= {
        *linked,
        *("MLproject", "conda.yaml", "docs/registry.md", "tests/conftest.py"),
        *("why_zero/py.typed", "pipeline/py.typed"),
        "pipeline/data/mnist/train-images-idx3-ubyte.gz",
    }


def test_without_the_extra_the_command_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['click'] = None; "
        "from pipeline.__main__ import main; sys.argv = ['why-zero', 'toy']; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    line = "error: the pipeline needs packages that are not installed, got no click: "
    assert done.stderr.startswith(line)


def test_nothing_that_only_unix_has_is_imported_where_a_module_begins() -> None:
    """Windows has no `resource`, `fcntl` or `pwd`."""
    of_unix = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "termios", "tty"}
    for file in [*(ROOT / "pipeline").rglob("*.py"), *(ROOT / "why_zero").rglob("*.py")]:
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Import):
                assert of_unix.isdisjoint(alias.name for alias in node.names), file
            elif isinstance(node, ast.ImportFrom):
                assert node.module not in of_unix, file
