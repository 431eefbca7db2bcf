"""Words and tables about one network: records in, Markdown out.

It must not know MLflow or figures, and measures nothing.
"""

from collections.abc import Sequence

from pipeline.records import Result

Row = tuple[str, ...]


def description(result: Result, *, validation_name: str) -> str:
    """The Markdown description of one network's run."""
    chosen = result.chosen
    lines = [f"**{result.recipe.name}**, weights of epoch {chosen.epoch}."]
    scores = [(validation_name, chosen.validation), ("test set", result.test)]
    lines += [
        f"- {name}: {_percent(score.accuracy)} right, loss {score.loss:.4f}"
        for name, score in scores
        if score is not None
    ]
    if result.recipe.holdout == 0:
        lines.append(
            "- Nothing was held out: the validation numbers are those of the *test set*, so "
            "nothing may be chosen by them."
        )
    columns = ("layer", "zero", "dropped", "inactive", "both", "dead", "born dead")
    return "\n".join(lines) + "\n\n" + table(columns, _layer_rows(result))


def _layer_rows(result: Result) -> list[Row]:
    rows = []
    for layer, born in zip(result.chosen.layers, result.history[0].layers, strict=True):
        causes = layer.causes
        shares = [causes.zero_share, *(causes.share(c) for c in ("dropped", "inactive", "both"))]
        dead = [
            f"{int(states.dead.sum())} of {len(states.fired)}" if states else "no ReLU"
            for states in (layer.states, born.states)
        ]
        rows.append((layer.name, *(_percent(s) if causes.pairs else "–" for s in shares), *dead))
    return rows


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, the first column to the left and the others to the right."""
    ruler = ["---", *(["---:"] * (len(columns) - 1))]
    # MLflow shows tables without any space between their columns, and trims a bare space.
    padded = [[f"{cell}&emsp;" for cell in row] for row in [columns, *rows]]
    lines = [padded[0], ruler, *padded[1:]]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"
