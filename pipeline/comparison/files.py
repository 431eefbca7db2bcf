"""The two CSV files of a comparison: one row per network, and one row per group."""

import csv
import io
import math
from collections.abc import Mapping, Sequence

from pipeline.comparison.compare import Comparison, Pair
from pipeline.comparison.groups import TRAITS, Group, traits
from pipeline.comparison.measures import layer_names, logged
from pipeline.comparison.statistics import Estimate
from pipeline.config.settings import canonical
from pipeline.records.networks_file import RUN_ID
from pipeline.records.result import Result

_OF_A_LAYER = (
    "zero_dropped",
    "zero_inactive",
    "zero_both",
    "zero",
    "zero_expected",
    "dead",
    "born_dead",
    "dormant",
)


def networks_csv(results: Sequence[Result]) -> str:
    """One row per network: its run, recipe, data, device, scores, zeros, states and cost.

    Measures have their names in MLflow and are those of the kept epoch. Test scores are left out:
    nothing is to be chosen by them.
    """
    return _csv([_network(result) for result in results])


def groups_csv(comparisons: Sequence[Comparison]) -> str:
    """One row per group: each measure's mean, the ends of its 95 % interval, and its count.

    Of what training cost the mean alone.
    """
    return _csv([_group(found, group) for found in comparisons for group in found.groups])


def _network(result: Result) -> dict[str, str]:
    return {
        RUN_ID: result.run_id,
        "name": result.recipe.name,
        **result.recipe.parameters,
        "device": result.device,
        "device_name": result.device_name,
        "dataset": result.dataset,
        "dataset_digest": result.dataset_digest,
        "stack_size": str(result.stack_size),
        "chosen_epoch": str(result.chosen.epoch),
        "epochs_trained": str(result.history[-1].epoch),
        **{name: _text(value) for name, value in logged(result).items()},
    }


def _group(comparison: Comparison, group: Group) -> dict[str, str]:
    values = traits(group.first)
    row = {
        "group": group.label,
        "dataset": comparison.dataset,
        "dataset_digest": comparison.digest,
        "holdout": str(comparison.holdout),
        **{name: canonical(values[name]) for name in TRAITS},
        "networks": str(len(group.results)),
        "seeds": ",".join(map(str, group.seeds)),
        "seeds_diverged": ",".join(map(str, group.diverged)),
        "seeds_judged": ",".join(map(str, group.judged_by)),
        "is_chosen": canonical(group is comparison.chosen),
    }
    by_layer = [f"{kind}/{layer}" for layer in layer_names(group.results) for kind in _OF_A_LAYER]
    accuracy = group.accuracy
    row |= _interval("val/accuracy", accuracy)
    row |= _ends("val/accuracy_another_seed", group.another_seed)
    row |= _interval("val/error", Estimate(1 - accuracy.mean, accuracy.half_width, accuracy.count))
    for measure in ("val/loss", *by_layer):
        row |= _interval(measure, group.estimate(measure))
    # Networks that share a stack share its time: another seed is no other measurement of it.
    for part in ("epoch_seconds", "samples_per_second", "peak_memory_mb"):
        row[f"speed/{part}_mean"] = _text(group.estimate(f"speed/{part}").mean)
    pair = next((pair for pair in comparison.against if pair.second is group), None)
    return row | (_difference(pair) if pair and comparison.chosen else {})


def _difference(pair: Pair) -> dict[str, str]:
    """By how much the chosen group is better than this one."""
    found = pair.difference
    return {
        **_interval("behind_chosen", found),
        "behind_chosen_effect_size": _text(found.effect_size),
        "behind_chosen_p": _text(found.p_value),
        "behind_chosen_p_corrected": _text(found.corrected),
        "behind_chosen_p_corrected_other_images": _text(pair.beyond),
    }


def _interval(name: str, value: Estimate) -> dict[str, str]:
    return {
        f"{name}_mean": _text(value.mean),
        **_ends(name, value),
        f"{name}_n": str(value.count),
    }


def _ends(name: str, value: Estimate) -> dict[str, str]:
    return {f"{name}_low": _text(value.low), f"{name}_high": _text(value.high)}


def _text(value: float) -> str:
    return repr(float(value)) if math.isfinite(value) else ""


def _csv(rows: Sequence[Mapping[str, str]]) -> str:
    columns = dict.fromkeys(name for row in rows for name in row)
    file = io.StringIO()
    writer = csv.DictWriter(file, list(columns), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()
