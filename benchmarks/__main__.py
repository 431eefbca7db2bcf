"""Runs the benchmarks whose names are given, or all, and shows their rows as they come."""

import sys
from datetime import datetime
from importlib import import_module

import click

from benchmarks.conditions import Conditions, UnavailableError
from benchmarks.results import RESULTS, Row, machine, record
from pipeline.config.settings import DEVICE
from pipeline.training import device as devices

NAMES = (
    "training_pass",
    "against_jax",
    "whole_process",
    "before_and_after",
    "sweep",
    "further_network",
    "busy",
    "start",
    "start_and_end",
    "ten_epochs",
    "scaling",
    "memory",
    "stack_memory",
    "accuracy",
    "born_dead",
    "verdicts",
    "probe_cost",
    "big_store",
    "picture_cost",
    "cores",
    "gpu",
)


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(NAMES))
@click.option("--device", type=DEVICE.parse, default="cpu", help="Where networks are trained.")
@click.option("--full", "effort", flag_value="full", help="Run at full size.")
@click.option("--smoke", "effort", flag_value="smoke", help="Only see that they run.")
@click.option("--record", "is_recorded", is_flag=True, help="Keep the rows in RESULTS.md.")
def main(names: tuple[str, ...], device: str, effort: str | None, is_recorded: bool) -> None:
    """Measure NAMES, or everything."""
    if is_recorded and effort == "smoke":
        raise click.UsageError("--smoke measures nothing that is worth to --record")
    conditions = Conditions(device=devices.resolve(device), effort=effort or "usual")
    is_complete = True
    for name in names or NAMES:
        click.echo(f"== {name}")
        rows: list[Row] = []
        try:
            for row in import_module(f"benchmarks.{name}").measure(conditions):
                rows.append(row)
                click.echo(f"{row.cells[0]:56} {row.cells[1]:>18}  {row.cells[2]}".rstrip())
        except UnavailableError as reason:
            click.echo(f"left out: {reason}")
            is_complete = False
            continue
        if is_recorded:
            where = machine(conditions.device)
            today = datetime.now().astimezone().date()
            record(RESULTS, where, benchmark=name, rows=rows, today=today)
    sys.exit(0 if is_complete else 1)


if __name__ == "__main__":
    main()
