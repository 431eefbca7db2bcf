"""Renders the file MLproject from the steps' settings: `python -m pipeline.cli.mlproject`."""

import json
from pathlib import Path

from pipeline.config.options import STEPS
from pipeline.config.settings import argument, canonical, declared, name_of
from pipeline.files import write_whole

HEADER = """\
# Made by `python -m pipeline.cli.mlproject` from the steps' settings: change those and rerun it.
name: why-zero
conda_env: conda.yaml
entry_points:
"""


def render() -> str:
    """The text of MLproject: an entry point for each step, a parameter for each setting.

    A step that takes values without a name has none, unless one text may hold them all: MLproject
    knows no lists.
    """
    return HEADER + "".join(
        _entry_point(step, settings)
        for step, settings in STEPS.items()
        if (taken := argument(settings)) is None or taken[1].is_list
    )


def _entry_point(step: str, settings: type) -> str:
    names = [name_of(item) for item, _, _ in declared(settings)]
    taken = argument(settings)
    needed = taken[0].name if taken else None
    parameters = f"      {needed}: {{type: string}}\n" if needed else ""
    parameters += "".join(
        f"      {name_of(item)}: {{type: string, default: {json.dumps(canonical(item.default))}}}\n"
        for item, _, _ in declared(settings)
    )
    options = "".join(f"\n      --{name.replace('_', '-')} {{{name}}}" for name in names)
    last = f"\n      {{{needed}}}" if needed else ""
    command = f"    command: >-\n      python -m pipeline {step}{options}{last}\n"
    return f"  {step}:\n    parameters:\n{parameters}{command}"


def main() -> None:
    """Write MLproject beside the package."""
    write_whole(Path(__file__).parents[2] / "MLproject", render().encode())


if __name__ == "__main__":
    main()
