"""What is pinned for MLflow's environments is what the package asks for."""

import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from pipeline import __version__

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
ASKED = {Requirement(text).name: Requirement(text) for text in PROJECT["dependencies"]}


def pinned() -> dict[str, Requirement]:
    *_, pip = yaml.safe_load((ROOT / "conda.yaml").read_text("utf-8"))["dependencies"]
    return {Requirement(text).name: Requirement(text) for text in pip["pip"]}


def test_conda_yaml_pins_every_dependency_and_nothing_else() -> None:
    assert set(pinned()) == set(ASKED)


@pytest.mark.parametrize("name", ASKED)
def test_every_pin_is_one_version_within_the_range(name: str) -> None:
    [pin] = pinned()[name].specifier
    assert pin.operator == "=="
    assert ASKED[name].specifier.contains(pin.version)


def test_what_is_installed_is_within_the_ranges() -> None:
    for name, requirement in ASKED.items():
        assert requirement.specifier.contains(version(name), prereleases=True), name


def test_the_version_is_the_same_everywhere() -> None:
    assert PROJECT["version"] == __version__
    assert f"## {__version__} - " in (ROOT / "CHANGELOG.md").read_text("utf-8")
