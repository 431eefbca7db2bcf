"""An epoch as metrics, under the names that MLflow shows."""

from pipeline.records.epochs import INPUT, EpochRecord, Score
from why_zero.records import ZERO_CAUSES, ZeroCauses


def metrics(record: EpochRecord, before: EpochRecord | None, born: EpochRecord) -> dict[str, float]:
    """Every metric of one epoch under its MLflow name, measure first and layer last.

    Args:
        record: the epoch.
        before: the epoch before it; None for epoch 0.
        born: epoch 0 of the same network.
    """
    named: dict[str, float | None] = {}
    for kind in ("train", "train_eval", "validation"):
        score: Score | None = getattr(record, kind)
        prefix = "val" if kind == "validation" else kind
        if score is not None:
            named |= {f"{prefix}/loss": score.loss, f"{prefix}/accuracy": score.accuracy}
    if record.input_causes is not None:
        named |= _zeros(INPUT, record.input_causes)
    for i, layer in enumerate(record.layers):
        named |= _zeros(layer.name, layer.causes)
        named[f"gradient_norm/{layer.name}"] = layer.gradient_norm
        named[f"update_ratio/{layer.name}"] = layer.update_ratio
        states, birth = layer.states, born.layers[i].states
        if states is None or birth is None:
            continue
        for state in ("dead", "always_on", "dormant", "starved"):
            named[f"{state}/{layer.name}"] = float(getattr(states, state).mean())
        named[f"born_dead/{layer.name}"] = float(birth.dead.mean())
        if layer.mask_dead is not None:
            named[f"mask_dead/{layer.name}"] = float(layer.mask_dead.mean())
        if layer.recycled is not None:
            named[f"recycled/{layer.name}"] = float(layer.recycled.sum())
        earlier = before.layers[i].states if before else None
        if earlier is not None:
            named[f"revived/{layer.name}"] = float((earlier.dead & ~states.dead).mean())
    named["speed/epoch_seconds"] = record.epoch_seconds
    named["speed/samples_per_second"] = record.samples_per_second
    named["speed/peak_memory_mb"] = record.peak_memory_mb
    return {name: value for name, value in named.items() if value is not None}


def _zeros(layer: str, causes: ZeroCauses) -> dict[str, float]:
    """The shares of zeros, in all and by cause; none where nothing was watched."""
    if not causes.pairs:
        return {}
    shares = {f"zero_{cause}/{layer}": causes.share(cause) for cause in ZERO_CAUSES}
    return {f"zero/{layer}": causes.zero_share, **shares}
