"""What a stranger must know before using a network: records in, Markdown out."""

import numpy as np
from scipy.stats import binomtest

from pipeline.config.settings import canonical
from pipeline.markdown import layer_table
from pipeline.records import Score
from pipeline.records.result import Result
from pipeline.records.words import percent
from why_zero.records import Counts

MOST_MISTAKES = 5
_CONFIDENCE = 0.95
_MOST_CLASSES = 12
_UNSTATED = frozenset({"", "not stated"})


def model_card(
    result: Result,
    confusion: Counts,
    *,
    classes: tuple[str, ...],
    shape: tuple[int, int],
    licence: str,
    commit: str | None,
    metric: str,
    compared: int,
    address: str,
    compaction: str | None = None,
) -> str:
    """The card of a trained network, at most 5,000 characters for up to eight layers.

    Args:
        result: the network.
        confusion: counts of its answers on the test set, shape (classes, classes): rows truth,
            columns prediction.
        classes: what each label stands for.
        shape: height and width of an image.
        licence: of the data.
        commit: of the code that trained it, where that is known.
        metric: of validation, that chose it.
        compared: how many networks it was chosen from.
        address: where it is loaded from, such as `models:/dropout-mnist@champion`.
        compaction: what was removed from it after training; None for a network as trained.
    """
    sections = {
        "What it is": _what_it_is(result, classes, shape=shape),
        "How to use it": _how_to_use_it(shape),
        "How it was trained": _how_it_was_trained(result, commit),
        **({"What was removed": compaction} if compaction else {}),
        "How well it does": _how_good_it_is(result, confusion, metric=metric, compared=compared),
        "Most frequent mistakes": mistakes(confusion, classes),
        "Why its activations are zero": _zeros(result),
        "Limits": _limits(result, shape),
        "The data": _data(result, licence),
    }
    # A sentence first: it is all that a list of versions shows.
    parts = [_in_a_sentence(result), _snippet(address)]
    parts += [f"### {title}\n\n{text}" for title, text in sections.items()]
    return "\n\n".join(parts) + "\n"


def description(
    result: Result, *, classes: tuple[str, ...], shape: tuple[int, int], address: str
) -> str:
    """What the versions of a registered model have in common, in Markdown.

    Args:
        result: a network that is one of them.
        classes: what each label stands for.
        shape: height and width of an image.
        address: where the one in use is loaded from, such as `models:/dropout-mnist@champion`.
    """
    height, width = shape
    return (
        f"Tells {len(classes)} classes ({_listed(classes)}) apart in grey images of {height} x "
        f"{width} pixels like those of {result.dataset}. Each version is a trained network "
        "with a model card on its page, and what every gate of `register` found in its tags."
        f"\n\n{_snippet(address)}\n"
    )


def _in_a_sentence(result: Result) -> str:
    right = percent(result.test.accuracy)
    return f"{right} of {result.dataset}'s test images correct: {result.recipe.name}."


def _snippet(address: str) -> str:
    """Lines that run as they are, on the images that were logged with the model."""
    return (
        "```python\nimport mlflow\n\n"
        f'model = mlflow.pyfunc.load_model("{address}")\n'
        "images = model.input_example  # or your own\n"
        "print(model.predict(images).argmax(-1))\n```"
    )


def _listed(classes: tuple[str, ...]) -> str:
    """The classes, or the first and the last few of many."""
    if len(classes) <= _MOST_CLASSES:
        return ", ".join(classes)
    return ", ".join([*classes[:3], "…", classes[-1]])


def interval(right: int, total: int) -> tuple[float, float]:
    """Wilson's 95 % interval for a share (E. B. Wilson 1927, JASA 22: 209-212).

    Args:
        right: how many were correct.
        total: of how many; at least 1.
    """
    found = binomtest(right, total).proportion_ci(_CONFIDENCE, method="wilson")
    return float(found.low), float(found.high)


def mistakes(confusion: Counts, classes: tuple[str, ...]) -> str:
    """The most frequent mistakes as a list, and the class that is hardest.

    Args:
        confusion: counts, rows truth and columns prediction.
        classes: what each label stands for.
    """
    wrong = confusion.copy()
    np.fill_diagonal(wrong, 0)
    total = int(wrong.sum())
    if total == 0:
        return "None: every test image was classified correctly."
    # Stable, so that equal counts come in the order of the classes.
    order = np.argsort(-wrong, axis=None, kind="stable")[:MOST_MISTAKES]
    lines = []
    for truth, taken in zip(*np.unravel_index(order, wrong.shape), strict=True):
        count, of = int(wrong[truth, taken]), int(confusion[truth].sum())
        if count:
            lines.append(
                f"- **{classes[truth]}** mistaken for **{classes[taken]}**: "
                f"{count} of its {of:,} test images"
            )
    counts = confusion.sum(axis=1)
    shares = np.divide(wrong.sum(axis=1), counts, out=np.zeros(len(counts)), where=counts > 0)
    hardest = int(shares.argmax())
    lines.append(
        f"- hardest class: **{classes[hardest]}**, {100 * shares[hardest]:.1f} % of its images "
        f"wrong; {total:,} of {int(confusion.sum()):,} wrong in total"
    )
    return "\n".join(lines)


def _what_it_is(result: Result, classes: tuple[str, ...], *, shape: tuple[int, int]) -> str:
    height, width = shape
    recipe = result.recipe
    sizes = "-".join(str(size) for size in (height * width, *recipe.widths, len(classes)))
    named = ", ".join(classes)
    hidden = {
        "relu": "ReLU",
        "none": "no activation function (it is linear)",
        "sigmoid": "the logistic function",
        "leaky_relu": "a leaky ReLU (0.01 z below 0)",
    }[recipe.activation]
    scaled = {
        "unit": "",
        "symmetric": " The network itself scales pixels from [0, 1] to [-1, 1].",
        "standard": " The network itself standardises pixels, by mean and standard deviation of "
        "those that it was trained on.",
    }[recipe.scaling]
    return (
        f"A fully connected network, {sizes}, with {hidden} after each hidden layer. It "
        f"distinguishes {len(classes)} classes ({named}) in grey images of {height} x {width} "
        f"pixels from the data set {result.dataset}. The same image always gets the same answer"
        + (": dropout was active only in training." if recipe.has_dropout else ".")
        + scaled
    )


def _how_to_use_it(shape: tuple[int, int]) -> str:
    height, width = shape
    return (
        "The lines above run where `MLFLOW_TRACKING_URI` names this store, with mlflow and torch. "
        f"Input: float32 of shape (n, 1, {height}, {width}), pixels divided by 255, background 0. "
        "Output: logits of shape (n, classes), in the order above."
    )


def _how_it_was_trained(result: Result, commit: str | None) -> str:
    recipe, chosen = result.recipe, result.chosen
    optimizer = recipe.optimizer.upper() if recipe.optimizer == "sgd" else "Adam"
    drops = []
    if recipe.drop_rate != 0:
        where = ", including the logits" if recipe.output_dropout else " on hidden layers"
        where = " by layer" if isinstance(recipe.drop_rate, tuple) else where
        drops.append(f"dropout p = {canonical(recipe.drop_rate)}{where}")
    if recipe.input_drop_rate:
        drops.append(f"inputs dropped with p = {canonical(recipe.input_drop_rate)}")
    dropped = " and ".join(drops) or "no dropout"
    options = [
        (recipe.learning_rate_decay != 1, f" times {recipe.learning_rate_decay:g} an epoch"),
        (recipe.max_norm, f", each unit's incoming weights held to L2 norm {recipe.max_norm:g}"),
        (recipe.init != "default", f", initial weights {recipe.init}"),
        (recipe.zero_biases, ", biases 0 at first"),
    ]
    optional = "".join(words for is_set, words in options if is_set)
    kept = "the last" if recipe.select == "last" else "the best by validation loss"
    return (
        f"[{recipe.name}]({result.page}): {dropped}; {optimizer}, learning rate "
        f"{recipe.learning_rate:g}{optional}, batches of {recipe.batch_size:,}, seed "
        f"{recipe.seed}, {recipe.precision}, on {result.device_name}. Weights of epoch "
        f"{chosen.epoch} of at most "
        f"{recipe.epochs} ({kept}). {recipe.holdout:,} training images were held out for "
        f"validation. Code: {f'commit {commit}' if commit else 'commit unknown'}."
    )


def _how_good_it_is(result: Result, confusion: Counts, *, metric: str, compared: int) -> str:
    right, total = int(confusion.trace()), int(confusion.sum())
    low, high = interval(right, total)
    test = (
        f"- test set, used for no choice: **{percent(result.test.accuracy)}** correct ({right:,} "
        f"of {total:,}), 95 % interval {percent(low)} to {percent(high)} (Wilson), loss "
        f"{result.test.loss:.4f}"
    )
    lines = [test]
    validation: Score | None = result.chosen.validation
    if validation is not None:
        lines.append(
            f"- held-out images: {percent(validation.accuracy)} correct, loss {validation.loss:.4f}"
        )
    if compared > 1:
        lines.append(
            f"- chosen as the best of {compared} networks by {metric}, so its figures on "
            "held-out images are optimistic; those on the test set are not"
        )
    return "\n".join(lines)


def _zeros(result: Result) -> str:
    states = result.chosen.layers[0].states
    reference = f"all {states.samples:,} images trained on" if states else "the images trained on"
    return (
        layer_table(result)
        + "\n\nShares of (sample, unit) pairs in the watched training passes. *Dropped*: zero only "
        "because of dropout; *inactive*: only because of ReLU; *both*: either would be enough. "
        f"*Dead*: closed for {reference}, in evaluation mode."
    )


def _limits(result: Result, shape: tuple[int, int]) -> str:
    height, width = shape
    return (
        f"- Made for images like those of {result.dataset}: other sizes are refused, and other "
        f"subjects, inverted colours or shapes off the centre of the {height} x {width} pixels "
        "still get a confident answer. There is no class for *none of these*.\n"
        "- The interval covers other images of the same kind, not other seeds or other data.\n"
        "- Softmax of the logits is not calibrated: check it before reading it as a probability."
    )


def _data(result: Result, licence: str) -> str:
    terms = "unknown: ask whoever made the data" if licence in _UNSTATED else licence
    return f"{result.dataset}, digest `{result.dataset_digest}`. Licence: {terms}"
