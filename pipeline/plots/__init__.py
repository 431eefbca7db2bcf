"""Figures: records in, matplotlib's `Figure` out."""

from pipeline.plots.causes import draw_causes
from pipeline.plots.confusion import draw_confusion
from pipeline.plots.firing import draw_firing_rates, film_firing_rates
from pipeline.plots.gradients import draw_gradients
from pipeline.plots.intervals import (
    CROWD,
    Curve,
    Scale,
    Zeros,
    draw_means,
    draw_shares,
    draw_zero_rates,
)
from pipeline.plots.learning import draw_learning_curves
from pipeline.plots.life import draw_lives
from pipeline.plots.panels import to_svg
from pipeline.plots.png import to_png
from pipeline.plots.render_pool import RenderPool, render_pool
from pipeline.plots.rows import draw_rows
from pipeline.plots.sample_map import draw_sample_map
from pipeline.plots.samples import draw_class_means, draw_samples
from pipeline.plots.style import CAUSE_LOOKS, CURVES, STATES
from pipeline.plots.sweep import draw_sweep
from pipeline.plots.units import draw_units
from pipeline.plots.weights import draw_first_weights

__all__ = [
    "CAUSE_LOOKS",
    "CROWD",
    "CURVES",
    "STATES",
    "Curve",
    "RenderPool",
    "Scale",
    "Zeros",
    "draw_causes",
    "draw_class_means",
    "draw_confusion",
    "draw_firing_rates",
    "draw_first_weights",
    "draw_gradients",
    "draw_learning_curves",
    "draw_lives",
    "draw_means",
    "draw_rows",
    "draw_sample_map",
    "draw_samples",
    "draw_shares",
    "draw_sweep",
    "draw_units",
    "draw_zero_rates",
    "film_firing_rates",
    "render_pool",
    "to_png",
    "to_svg",
]
