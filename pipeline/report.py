"""Words and tables about networks: records in, Markdown and rows for a terminal out.

It must not know MLflow or figures, and measures nothing.
"""

from collections.abc import Sequence

from pipeline.records import EpochRecord, Result

Row = tuple[str, ...]

COMPARISON_COLUMNS: Row = (
    "network",
    "validation accuracy",
    "validation loss",
    "zero",
    "dropped",
    "inactive",
    "both",
    "dead units",
)


def comparison_rows(results: Sequence[Result]) -> list[Row]:
    """A row for each network, under `COMPARISON_COLUMNS`; zeros over all hidden layers."""
    return [(result.recipe.name, *_numbers(result.chosen)) for result in results]


def _numbers(record: EpochRecord) -> Row:
    hidden = record.layers[:-1]
    pairs = sum(layer.causes.pairs for layer in hidden)
    counts = [
        sum(int(getattr(layer.causes, cause).sum()) for layer in hidden)
        for cause in ("dropped", "inactive", "both")
    ]
    states = [layer.states for layer in hidden if layer.states is not None]
    units = sum(len(state.fired) for state in states)
    dead = sum(int(state.dead.sum()) for state in states)
    score = record.validation or record.train_eval
    shares = [_percent(count / pairs) if pairs else "–" for count in (sum(counts), *counts)]
    return (
        _percent(score.accuracy),
        f"{score.loss:.4f}",
        *shares,
        f"{dead} of {units}" if units else "no ReLU",
    )


def comparison(results: Sequence[Result], *, validation_name: str) -> str:
    """The Markdown report of several networks."""
    rows = [
        (f"[{result.recipe.name}]({result.page})", *_numbers(result.chosen)) for result in results
    ]
    legend = (
        f"Accuracy and loss on the {validation_name}, with the weights that were kept. Zeros: "
        "shares of all (sample, unit) pairs of the hidden layers in the watched training passes "
        "of that epoch. *Dropped*: the unit was on (z > 0) and only dropout removed it, for this "
        "pass. *Inactive*: only ReLU closed it, for this input. *Both*: either alone would have "
        "done. *Dead*: z <= 0 for every image trained on, in evaluation mode."
    )
    heading = "## Which drop rate, and what does it do to the zeros?"
    return "\n\n".join([heading, table(COMPARISON_COLUMNS, rows), legend])


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
        rows.append((layer.name, *(_percent(s) if causes.pairs else "–" for s in shares), *dead))
    return table(columns, rows)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> str:
    """A Markdown table, the first `left` columns to the left and the others to the right."""
    ruler = ["---"] * left + ["---:"] * (len(columns) - left)
    # MLflow shows tables without any space between their columns.
    padded = [[f"{cell}\u2003" for cell in row] for row in [columns, *rows]]
    lines = [padded[0], ruler, *padded[1:]]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"
