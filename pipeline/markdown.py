"""Words and tables about one network: records in, Markdown out."""

from collections.abc import Sequence

from pipeline.records.result import Result
from pipeline.records.words import percent

Row = tuple[str, ...]
# MLflow shows tables without any space between their columns, and trims cells that end in one:
# so a wide space, and a space without width behind it, which is not trimmed.
WIDE = "\u2003\u200b"


def description(result: Result, *, validation_name: str) -> str:
    """The Markdown description of one network's run."""
    chosen = result.chosen
    lines = [f"**{result.recipe.name}**, weights of epoch {chosen.epoch}."]
    scores = [(validation_name, chosen.validation), ("test set", result.test)]
    lines += [
        f"- {name}: {percent(score.accuracy)} correct, loss {score.loss:.4f}"
        for name, score in scores
        if score is not None
    ]
    if result.recipe.holdout == 0:
        lines.append(
            "- Nothing was held out: the validation numbers are those of the *test set*, so "
            "nothing may be chosen by them."
        )
    return "\n".join(lines) + "\n\n" + layer_table(result)


def layer_table(result: Result) -> str:
    """Why each layer's activations were zero, and how many of its units are dead, as Markdown."""
    columns = ("layer", "zero", "dropped", "inactive", "both", "dead", "born dead")
    rows = []
    for layer, born in zip(result.chosen.layers, result.history[0].layers, strict=True):
        causes = layer.causes
        shares = [causes.zero_share, *(causes.share(c) for c in ("dropped", "inactive", "both"))]
        dead = [
            f"{int(states.dead.sum())} of {len(states.fired)}" if states else "no ReLU"
            for states in (layer.states, born.states)
        ]
        rows.append((layer.name, *(percent(share) for share in shares), *dead))
    return table(columns, rows)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> str:
    """A Markdown table, the first `left` columns to the left and the others to the right."""
    ruler = ["---"] * left + ["---:"] * (len(columns) - left)
    padded = [[f"{cell}{WIDE}" for cell in row] for row in [columns, *rows]]
    lines = [padded[0], ruler, *padded[1:]]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
