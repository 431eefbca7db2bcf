"""The metrics of a run that compares: what was chosen, and how good and how dead it is."""

from collections.abc import Sequence

from pipeline.comparison.compare import Comparison


def outcome_metrics(comparisons: Sequence[Comparison]) -> dict[str, float]:
    """Metrics of the step's own run; their names are none that a network has.

    `networks` counts what was compared. Of the chosen group there are its drop rate and the means
    of validation accuracy and dead units; of several comparisons with their numbers, as a data
    set's name may hold letters that MLflow refuses.
    """
    found = {"networks": float(sum(len(comparison.results) for comparison in comparisons))}
    for index, comparison in enumerate(comparisons, start=1):
        if chosen := comparison.chosen:
            which = f"/{index}" if len(comparisons) > 1 else ""
            found |= {
                f"{name}{which}": value
                for name, value in (
                    ("chosen/drop_rate", chosen.first.recipe.drop_rate),
                    ("chosen/val_accuracy", chosen.accuracy.mean),
                    ("chosen/dead_share", chosen.estimate("hidden_dead").mean),
                )
                if not isinstance(value, tuple)  # not where it differs by layer
            }
    return found
