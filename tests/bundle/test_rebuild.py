"""A network rebuilt from parameters and weights: the same, also from versions before."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.numpy import save_file

from pipeline.bundle.layout import BundleError
from pipeline.bundle.rebuild import rebuild
from pipeline.config.recipe import Recipe
from pipeline.records import Weights
from pipeline.training.stack import PixelScale, Stack, plain

IMAGES = torch.rand(3, 1, 2, 3, generator=torch.Generator().manual_seed(0))
# What recipes had before networks could scale their inputs.
LATER = ("init", "zero_biases", "scaling", "max_norm", "learning_rate_decay")


def drawn(recipe: Recipe) -> Weights:
    return Stack([recipe], inputs=6, classes=2, pixels=PixelScale(0.3, 0.25)).state(0)


def files(folder: Path, weights: Weights) -> dict[str, Path]:
    save_file(dict(weights), folder / "weights.safetensors")
    (folder / "example.json").write_text(json.dumps(IMAGES.tolist()))
    return {"weights": folder / "weights.safetensors", "example": folder / "example.json"}


@pytest.mark.parametrize("activation", ["relu", "none", "sigmoid", "leaky_relu"])
@pytest.mark.parametrize("scaling", ["unit", "symmetric", "standard"])
def test_it_takes_pixels_and_scales_them_as_it_did_in_training(
    activation: str, scaling: str, tmp_path: Path
) -> None:
    recipe = Recipe(widths=(5, 4), activation=activation, scaling=scaling)  # type: ignore[arg-type]
    weights = drawn(recipe)
    rebuilt = rebuild(recipe.parameters, **files(tmp_path, weights))
    x = IMAGES.flatten(1)
    x = {"unit": x, "symmetric": 2 * x - 1, "standard": (x - 0.3) / 0.25}[scaling]
    for number in (1, 2, 3):
        weight, bias = (
            torch.from_numpy(weights[f"linear{number}.{k}"]) for k in ("weight", "bias")
        )
        z = x @ weight.T + bias
        h = {
            "relu": z.clamp(min=0),
            "none": z,
            "sigmoid": 1 / (1 + (-z).exp()),
            "leaky_relu": torch.where(z > 0, z, z / 100),
        }[activation]
        x = z if number == 3 else h
    with torch.no_grad():
        torch.testing.assert_close(rebuilt.network(IMAGES), x)


def test_a_recipe_of_a_version_that_knew_fewer_settings_is_the_network_that_it_was(
    tmp_path: Path,
) -> None:
    recipe = Recipe(widths=(5, 4))
    parameters = {name: text for name, text in recipe.parameters.items() if name not in LATER}
    weights = drawn(recipe)
    rebuilt = rebuild(parameters, **files(tmp_path, weights))
    with torch.no_grad():
        torch.testing.assert_close(
            rebuilt.network(IMAGES), plain(recipe, weights).eval()(IMAGES), rtol=0, atol=0
        )


def test_weights_that_lack_the_scaling_of_their_recipe_are_of_another_network(
    tmp_path: Path,
) -> None:
    weights = drawn(Recipe(widths=(5, 4)))
    parameters = Recipe(widths=(5, 4), scaling="standard").parameters
    with pytest.raises(BundleError, match="weights of another network"):
        rebuild(parameters, **files(tmp_path, weights))
