"""The summary of a network, against arithmetic by hand."""

import torch
from torch import nn

from pipeline.runs.summary import summary


def test_a_summary_counts_parameters_and_millions_of_multiplications() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(1000, 500))
    shown = summary(network, torch.zeros(4, 1, 25, 40))
    # 1000 weights and a bias for each of 500 units; as many products for each of 4 images.
    assert "Total params: 500,500\n" in shown
    assert "Total mult-adds (M): 2.00\n" in shown
    assert "Units" not in shown
