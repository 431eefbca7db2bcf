"""Somebody else's network and samples, from files: a class, its weights, tensors or images."""

from pipeline.foreign.module import load_module
from pipeline.foreign.samples import load_samples

__all__ = ["load_module", "load_samples"]
