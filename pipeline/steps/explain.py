"""The step `explain`: why somebody's own network's activations are zero, as one HTML page.

It logs nothing, and opens no store.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from pipeline.config.options import ExplainSettings
from pipeline.console import Console
from pipeline.files import check_folder_of, given_path, write_out
from pipeline.foreign import load_module, load_samples
from why_zero import explain


def run(settings: ExplainSettings, console: Console) -> None:
    """Explain the network's zeros over the samples, and write the page.

    Raises:
        PipelineError: the network or the samples cannot be read, or the page cannot be written.
        WhyZeroError: the network does not take the samples.
    """
    address, inputs = settings.model_and_inputs
    out = given_path(settings.out)
    check_folder_of(out)
    torch.manual_seed(settings.seed)
    module = load_module(address, None if settings.weights == "none" else Path(settings.weights))
    samples = _typed(load_samples(inputs, settings.limit or None), module)
    # Of even sizes: batch norm does not take a last batch of one sample.
    batches = samples.tensor_split(-(-len(samples) // settings.batch))
    torch.manual_seed(settings.seed)
    explanation = explain(module, batches, passes=settings.passes)
    write_out(out, explanation.html())
    for advice in explanation.advice:
        console.line(advice.saw)
    if all(advice.is_harmless for advice in explanation.advice):
        where = "" if explanation.is_whole else " in what could be counted"
        console.line(f"Nothing to mend was found{where}.")
    console.elapsed(f"{out} was written")


def _typed(samples: Tensor, module: nn.Module) -> Tensor:
    """Numbers in the type of the network's parameters; whole numbers may be indices, and stay."""
    kind = next((each.dtype for each in module.parameters() if each.is_floating_point()), None)
    return samples.to(kind) if kind and samples.is_floating_point() else samples
