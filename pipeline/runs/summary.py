"""The table of a network's layers, as torchinfo writes it."""

import re

import torchinfo
from jaxtyping import Float
from torch import Tensor, nn


def summary(network: nn.Module, batch: Float[Tensor, "batch 1 height width"]) -> str:
    """Layers, sizes and parameters of a network that takes such a batch."""
    text = str(torchinfo.summary(network, input_data=batch, verbose=0, device="cpu"))
    # Since Python 3.11 an enum of texts formats as its name: torchinfo 1.8 means M for millions.
    return re.sub(r"\(Units\.(\w)\w*\)", r"(\1)", text)
