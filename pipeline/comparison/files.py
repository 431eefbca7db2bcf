"""The two CSV files of a comparison: a row a network, and a row a group."""

import csv
import io
import math
from collections.abc import Mapping, Sequence

from pipeline.comparison import measures
from pipeline.comparison.groups import TRAITS, Group, traits
from pipeline.comparison.standings import Pair, Standings
from pipeline.comparison.statistics import Estimate, estimate
from pipeline.config.settings import canonical
from pipeline.records.metrics import metrics
from pipeline.records.result import Result
from why_zero.records import Floats

Row = dict[str, str]


def networks_csv(results: Sequence[Result]) -> str:
    """A row a network: its run, recipe, data, device, scores, zeros, states and cost.

    Measures have their names in MLflow and are those of the kept epoch. Test scores are left out:
    nothing is to be chosen by them.
    """
    return _written([_network(result) for result in results])


def run_ids(text: str) -> list[str]:
    """The ids of the runs in a file that `networks_csv` wrote.

    Raises:
        KeyError: it has no such column.
    """
    return [row["run_id"] for row in csv.DictReader(io.StringIO(text))]


def groups_csv(every: Sequence[Standings]) -> str:
    """A row a group: each measure's mean, the ends of its 95 % interval, and its count.

    Of what training cost the mean alone.
    """
    return _written(
        [_group(standings, group) for standings in every for group in _groups(standings)]
    )


def _groups(standings: Standings) -> tuple[Group, ...]:
    return standings.contest.groups


def _network(result: Result) -> Row:
    named = metrics(result.chosen, None, result.history[0])
    cost = measures.cost(result)
    numbers = {name: value for name, value in named.items() if not name.startswith("speed/")}
    return {
        "run_id": result.run_id,
        "name": result.recipe.name,
        **result.recipe.parameters,
        "device": result.device,
        "device_name": result.device_name,
        "dataset": result.dataset,
        "dataset_digest": result.dataset_digest,
        "stack_size": str(result.stack_size),
        "chosen_epoch": str(result.chosen.epoch),
        "epochs_trained": str(result.history[-1].epoch),
        **{name: _text(value) for name, value in numbers.items()},
        "speed/epoch_seconds": _text(cost.epoch_seconds),
        "speed/samples_per_second": _text(cost.samples_per_second),
        "speed/peak_memory_mb": _text(cost.peak_memory_mb),
    }


def _group(standings: Standings, group: Group) -> Row:
    contest = standings.contest
    values = traits(group.first)
    row = {
        "group": group.label,
        "dataset": contest.dataset,
        "dataset_digest": contest.digest,
        "holdout": str(contest.holdout),
        **{name: canonical(values[name]) for name in TRAITS},
        "networks": str(len(group.results)),
        "seeds": ",".join(map(str, group.seeds)),
        "is_chosen": canonical(group is standings.chosen),
    }
    named: dict[str, Sequence[float] | Floats] = {
        "val/accuracy": group.values(measures.accuracy),
        "val/error": group.values(measures.error),
        "val/loss": group.values(measures.loss),
    }
    for layer in measures.layer_names(list(group.results)):
        zeros = [measures.zeros(result, layer) for result in group.results]
        states = [measures.states(result, layer) for result in group.results]
        for cause in ("dropped", "inactive", "both"):
            named[f"zero_{cause}/{layer}"] = [getattr(one, cause) for one in zeros]
        named[f"zero/{layer}"] = [one.zero for one in zeros]
        named[f"zero_expected/{layer}"] = [one.expected for one in zeros]
        for state in ("dead", "born_dead", "dormant"):
            named[f"{state}/{layer}"] = [getattr(one, state) for one in states]
    for name, numbers in named.items():
        row |= _interval(name, estimate(numbers))
    costs = [measures.cost(result) for result in group.results]
    # Networks that share a stack share its time: another seed is no other measurement of it.
    for part in ("epoch_seconds", "samples_per_second", "peak_memory_mb"):
        row[f"speed/{part}_mean"] = _text(estimate([getattr(cost, part) for cost in costs]).mean)
    pair = next((one for one in standings.against if one.other is group), None)
    return row | (_difference(pair) if pair and standings.chosen else {})


def _difference(pair: Pair) -> Row:
    """By how much the chosen group is better than this one."""
    found = pair.difference
    return {
        **_interval("behind_chosen", found.estimate),
        "behind_chosen_effect_size": _text(found.effect_size),
        "behind_chosen_p": _text(found.p_value),
        "behind_chosen_p_corrected": _text(pair.corrected),
    }


def _interval(name: str, value: Estimate) -> Row:
    return {
        f"{name}_mean": _text(value.mean),
        f"{name}_low": _text(value.low),
        f"{name}_high": _text(value.high),
        f"{name}_n": str(value.count),
    }


def _text(value: float) -> str:
    return repr(float(value)) if math.isfinite(value) else ""


def _written(rows: Sequence[Mapping[str, str]]) -> str:
    columns = dict.fromkeys(name for row in rows for name in row)
    file = io.StringIO()
    writer = csv.DictWriter(file, list(columns), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()
