"""Renders the file MLproject from the steps' settings: `python -m pipeline.cli.mlproject`."""

import json
from pathlib import Path

from pipeline.config.options import STEPS
from pipeline.config.settings import argument, canonical, declared, name_of

HEADER = """\
# Made by `python -m pipeline.cli.mlproject` from the steps' settings: change those and rerun it.
name: why-zero
conda_env: conda.yaml
entry_points:
"""


def render() -> str:
    """The text of MLproject: an entry point for each step, a parameter for each setting.

    A step that takes values without a name has none: MLproject knows no lists.
    """
    return HEADER + "".join(
        _entry_point(step, settings)
        for step, settings in STEPS.items()
        if argument(settings) is None
    )


def _entry_point(step: str, settings: type) -> str:
    names = [name_of(item) for item, _, _ in declared(settings)]
    parameters = "".join(
        f"      {name_of(item)}: {{type: string, default: {json.dumps(canonical(item.default))}}}\n"
        for item, _, _ in declared(settings)
    )
    options = "".join(f"\n      --{name.replace('_', '-')} {{{name}}}" for name in names)
    command = f"    command: >-\n      python -m pipeline {step}{options}\n"
    return f"  {step}:\n    parameters:\n{parameters}{command}"


def main() -> None:
    """Write MLproject beside the package."""
    (Path(__file__).parents[2] / "MLproject").write_text(render(), encoding="utf-8")


if __name__ == "__main__":
    main()
