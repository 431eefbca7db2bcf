"""Why is this activation zero? Dropout, ReLU or a dead unit: trained, measured, tracked."""

__version__ = "0.1.0"
