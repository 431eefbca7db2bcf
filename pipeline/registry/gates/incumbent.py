"""The gate that compares a network with the one that holds the alias."""

import math
from dataclasses import dataclass

from pipeline.registry.gates.result import GateError, GateResult
from pipeline.registry.selection import Selection, is_higher_better, value_of
from pipeline.tracking import FoundRun, Tracker, Version

GATE = "not worse"
# 0.972 - 0.97 is 0.0020000000000000018: a margin of 0.002 must still allow it.
_ROUNDING = 1e-9
# What the images that a network was validated on depend on.
_VALIDATED_ON = ("dataset_digest", "holdout")


@dataclass(frozen=True, kw_only=True)
class Incumbent:
    """The version that an alias points to now.

    Attributes:
        version: the version.
        alias: the alias.
        run: of the network; None if the store no longer has it.
        value: the metric that chooses, at the epoch whose weights it has; NaN if unknown.
    """

    version: Version
    alias: str
    run: FoundRun | None
    value: float


def find_incumbent(name: str, alias: str, metric: str, *, tracker: Tracker) -> Incumbent | None:
    """The current holder of an alias, with its metric; None if there is none.

    Args:
        name: of the registered model.
        alias: the alias.
        metric: that chooses.
        tracker: of the store.
    """
    version = tracker.registry.holder(name, alias)
    if version is None:
        return None
    run = tracker.run_or_none(version.run_id)
    value = value_of(run, metric, tracker) if run else math.nan
    return Incumbent(version=version, alias=alias, run=run, value=value)


def not_worse(
    selection: Selection, holder: Incumbent | None, *, margin: float, is_forced: bool
) -> GateResult:
    """Check that the network is not worse than the alias's holder by more than the margin.

    Args:
        selection: the network, and its value of the metric.
        holder: the version that holds the alias now.
        margin: how much worse it may be, in the metric's own unit.
        is_forced: let it pass anyway, and record that.

    Raises:
        GateError: it is worse, or the two cannot be compared, and it is not forced.
    """
    metric, value = selection.metric, selection.value
    if holder is None:
        return GateResult(gate=GATE, found=f"no version holds the alias yet; {metric} {value:.6g}")
    who = f"version {holder.version.version}, the current {holder.alias}"
    gap = holder.value - value if is_higher_better(metric) else value - holder.value
    obstacle = _obstacle(selection, holder)
    if obstacle is None and gap <= margin + _ROUNDING:
        return GateResult(
            gate=GATE, found=f"{metric} {value:.6g}, against {holder.value:.6g} of {who}"
        )
    if obstacle is None:
        rule = f"{metric} must not be worse by more than {margin:g} than that of {who}"
        found = f"{value:.6g} against {holder.value:.6g}"
    else:
        rule, found = f"{metric} must be comparable with that of {who}", obstacle
    if is_forced:
        return GateResult(gate=GATE, found=f"forced: {rule}, got {found}", is_forced=True)
    raise GateError(
        GATE, rule=rule, found=found, remedy="register a better network, or give force=true"
    )


def _obstacle(selection: Selection, holder: Incumbent) -> str | None:
    """Why the two numbers cannot be compared; None if they can."""
    if holder.run is None:
        return f"no run {holder.version.run_id or 'at all'} in this store"
    parameters, others = selection.run.parameters, holder.run.parameters
    for key in _VALIDATED_ON:
        if parameters.get(key) != others.get(key):
            values = f"{parameters.get(key)} against {others.get(key)}"
            return f"{key} {values}: different validation images"
    if math.isnan(holder.value):
        return f"none in its run {holder.run.id}"
    return None
