"""The example scripts and the lazy public face, as somebody else would use them."""

import ast
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

import pipeline
import why_zero
from why_zero import ZeroProbe

ROOT = Path(__file__).parents[2]


def run(name: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    runpy.run_path(str(ROOT / "examples" / name), run_name="__main__")
    return capsys.readouterr().out.splitlines()


def test_the_cnn_example_says_why_its_activations_are_zero(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = run("cnn.py", capsys)
    shares = {line.split()[0]: re.findall(r"([\d.]+)%", line) for line in lines[1:4]}
    assert list(shares) == ["relu", "relu#2", "relu#3"]
    for values in shares.values():
        active, dropped, inactive, both, zero = map(float, values)
        assert active + dropped + inactive + both == pytest.approx(100, abs=0.2)
        assert dropped + inactive + both == pytest.approx(zero, abs=0.2)
    assert any(line.startswith("in every layer: ") and "unexplained 0.0%" in line for line in lines)
    # Nothing drops after the first ReLU; channels with p = 0.2, features with p = 0.5. A channel
    # stands for 121 pairs, so its share is known to some 2 % only (512 x 2 x 16 channels, 4 sigma).
    assert shares["relu"][1] == shares["relu"][3] == "0.0"
    dropped = {name: float(v[1]) + float(v[3]) for name, v in shares.items()}
    assert dropped["relu#2"] == pytest.approx(20, abs=2)
    assert dropped["relu#3"] == pytest.approx(50, abs=1.2)
    census = [line for line in lines if " units are dead" in line]
    assert [line.split(" units")[0].rsplit(" ", 1)[1] for line in census] == ["8", "16", "64"]


def test_the_plain_loop_example_adds_its_zeros_up(capsys: pytest.CaptureFixture[str]) -> None:
    lines = run("plain_loop.py", capsys)
    assert len(lines) == 8
    deaths = []
    for line in lines:
        zero, dropped, inactive, both, dead = map(float, re.findall(r"([\d.]+)%", line))
        assert dropped + inactive + both == pytest.approx(zero, abs=0.2)
        deaths.append(dead)
    assert max(deaths) > 5  # this learning rate kills


def test_importing_the_package_is_instant_and_the_probe_brings_no_mlflow() -> None:
    code = (
        "import sys, why_zero, pipeline;"
        "heavy = {'torch', 'numpy', 'scipy', 'mlflow', 'torchvision'};"
        "print(sorted(heavy & set(sys.modules)));"
        "from why_zero import ZeroProbe;"
        "print(sorted({'mlflow', 'torchvision', 'matplotlib'} & set(sys.modules)));"
        "print(ZeroProbe.__module__)"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert output.splitlines() == ["[]", "[]", "why_zero.probe"]


def test_everything_public_can_be_had_without_a_library_that_it_need_not_load() -> None:
    code = (
        "import sys, why_zero;"
        "[getattr(why_zero, name) for name in why_zero.__all__];"
        "loaded = {name.partition('.')[0] for name in sys.modules};"
        "heavy = {'scipy', 'pandas', 'rich', 'mlflow', 'matplotlib', 'click', 'pipeline'};"
        "print(sorted(heavy & loaded))"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert output == "[]\n"


def test_the_census_is_a_function_whatever_was_imported_before() -> None:
    """A module of the same name would take its place once it is imported."""
    assert ZeroProbe.__module__ == "why_zero.probe"
    assert callable(why_zero.census)


def test_a_type_checker_sees_no_name_that_is_not_declared() -> None:
    """A `__getattr__` in its sight would make every misspelt name an `Any`."""
    tree = ast.parse(Path(why_zero.__file__).read_text("utf-8"))
    seen = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert not seen
    imported = {
        alias.name
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert imported == set(why_zero.__all__)


def test_the_public_face_names_what_it_has_and_nothing_else() -> None:
    assert dir(why_zero) == sorted(why_zero.__all__)
    for name in why_zero.__all__:
        assert getattr(why_zero, name)
    for package in (why_zero, pipeline):
        with pytest.raises(AttributeError, match="has no attribute 'ZeroPrbe'"):
            _ = package.ZeroPrbe


@pytest.mark.parametrize("name", ["ZeroProbe", "WatchedLayer", "BrokenIdentity"])
def test_what_version_0_2_had_in_pipeline_is_still_there_and_says_where_it_went(name: str) -> None:
    with pytest.warns(DeprecationWarning, match=f"write `from why_zero import {name}`"):
        assert getattr(pipeline, name) is getattr(why_zero, name)
