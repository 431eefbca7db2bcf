"""Figures: records in, matplotlib's `Figure` out.

They must not know torch or MLflow, and measure nothing: they draw what the records hold.
"""

from pipeline.plots.causes import draw_causes
from pipeline.plots.confusion import draw_confusion
from pipeline.plots.drop_rates import draw_drop_rates
from pipeline.plots.firing import draw_firing_rates
from pipeline.plots.learning import draw_learning_curves
from pipeline.plots.samples import draw_class_means, draw_samples
from pipeline.plots.style import to_image
from pipeline.plots.units import draw_units

__all__ = [
    "draw_causes",
    "draw_class_means",
    "draw_confusion",
    "draw_drop_rates",
    "draw_firing_rates",
    "draw_learning_curves",
    "draw_samples",
    "draw_units",
    "to_image",
]
