"""K networks of one shape as one module: weights with a leading axis K.

It knows neither optimizers nor epochs, and draws only initial weights: masks are passed in.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from safetensors import SafetensorError
from safetensors.numpy import load_file
from torch import Tensor, nn

from pipeline.config.recipe import Recipe
from pipeline.records import Weights
from pipeline.training import device as devices
from pipeline.training.batched_linear import batched_linear


@dataclass(frozen=True)
class LayerPass:
    """What one layer, or the inputs, did in one pass, for K networks and a batch.

    Attributes:
        z: pre-activation; of the inputs, themselves.
        h: after the activation function.
        keep: the dropout mask, True = kept; None where nothing is dropped.
        y: m * h / (1 - p), what the next layer sees.
    """

    z: Float[Tensor, "networks_or_1 batch units"]
    h: Float[Tensor, "networks_or_1 batch units"]
    keep: Bool[Tensor, "networks batch units"] | None
    y: Float[Tensor, "networks_or_1 batch units"]

    def retain_gradients(self) -> None:
        """Make the backward pass keep the gradients of z, h and y."""
        for tensor in (self.z, self.h, self.y):
            tensor.retain_grad()

    def detached(self) -> "LayerPass":
        """The same values, detached."""
        return replace(self, z=self.z.detach(), h=self.h.detach(), y=self.y.detach())


Masks = Sequence[Bool[Tensor, "networks batch _"] | None]


class Stack(nn.Module):
    """K fully connected networks with the same widths, each with its own recipe.

    Drop rate, activation and seed may differ between the members; the widths may not.
    """

    def __init__(
        self,
        recipes: Sequence[Recipe],
        *,
        inputs: int,
        classes: int,
        layers: Sequence[tuple[Tensor, Tensor]] | None = None,
    ) -> None:
        """Draw every member's initial weights from its own seed, on the CPU.

        Args:
            recipes: one for each member.
            inputs: features of a sample.
            classes: logits of each network.
            layers: weight and bias of each layer, to be shared instead of drawn.

        Raises:
            ValueError: the members' widths differ.
        """
        super().__init__()
        if len({recipe.widths for recipe in recipes}) != 1:
            raise ValueError("members of a stack must have the same widths")
        self.recipes = tuple(recipes)
        self.layer_names = recipes[0].layers
        self.units = (*recipes[0].widths, classes)
        layers = layers or _drawn(recipes, (inputs, *self.units))
        # (networks, inputs, units): in this layout a gradient needs no copy.
        self.weights = nn.ParameterList(weight for weight, _ in layers)
        self.biases = nn.ParameterList(bias for _, bias in layers)
        self.drop_rates = tuple(
            tuple(recipe.drop_rate_of(name) for recipe in recipes) for name in self.layer_names
        )
        scales = torch.tensor([[1 / (1 - rate) for rate in row] for row in self.drop_rates])
        is_linear = torch.tensor([recipe.activation == "none" for recipe in recipes])
        self.scales: Float[Tensor, "layers networks 1 1"]
        self.is_linear: Bool[Tensor, "networks 1 1"]
        self.register_buffer("scales", scales[..., None, None], persistent=False)
        self.register_buffer("is_linear", is_linear[:, None, None], persistent=False)
        self._activations = {recipe.activation for recipe in recipes}
        input_scales = torch.tensor([1 / (1 - recipe.input_drop_rate) for recipe in recipes])
        self.input_scales: Float[Tensor, "networks 1 1"]
        self.register_buffer("input_scales", input_scales[:, None, None], persistent=False)

    def forward(
        self,
        x: Float[Tensor, "networks_or_1 batch inputs"],
        masks: Masks | None = None,
        *,
        trace: list[LayerPass] | None = None,
    ) -> Float[Tensor, "networks batch classes"]:
        """Logits of every member.

        Args:
            x: one batch for each member, or one for all.
            masks: True = kept, one for each layer, None where a layer drops nothing;
                without masks the pass is in evaluation mode.
            trace: receives what each layer did, from h1 to the logits.
        """
        return self.onward(self.first(self.enter(x).y), masks, trace=trace)

    def enter(
        self,
        x: Float[Tensor, "networks_or_1 batch inputs"],
        keep: Bool[Tensor, "networks batch inputs"] | None = None,
    ) -> LayerPass:
        """The pass of the inputs themselves: its y is what the first layers see.

        Args:
            x: as in `forward`.
            keep: the mask of the inputs, True = kept; None where nothing is dropped.
        """
        if keep is None:
            return LayerPass(x, x, None, x)
        x = x.expand(len(keep), -1, -1)
        return LayerPass(x, x, keep, x * (keep.view(torch.uint8) * self.input_scales))

    def first(
        self, x: Float[Tensor, "networks_or_1 batch inputs"]
    ) -> Float[Tensor, "networks batch units"]:
        """The first layer's z, of inputs as `enter` gives them."""
        return batched_linear(self.biases[0], x, self.weights[0])

    def onward(
        self,
        z: Float[Tensor, "networks batch units"],
        masks: Masks | None = None,
        *,
        trace: list[LayerPass] | None = None,
    ) -> Float[Tensor, "networks batch _"]:
        """Logits of every member from the first layer's z, otherwise as `forward`.

        With masks for the first layers only, up to the layer after these, without a mask there.
        """
        last = len(self.weights) - 1
        masks = (None,) * (last + 1) if masks is None else masks
        for layer, keep in enumerate((*masks, None)[: last + 1]):
            h = z if layer == last else self._activate(z)
            # The product keeps the sign: a dropped negative is -0.0, as nn.Dropout leaves it.
            # Read as bytes: on a CPU ones and zeros of bool take four times as long to multiply.
            y = h if keep is None else h * (keep.view(torch.uint8) * self.scales[layer])
            if trace is not None:
                trace.append(LayerPass(z, h, keep, y))
            if layer < min(last, len(masks)):
                z = batched_linear(self.biases[layer + 1], y, self.weights[layer + 1])
        return y

    def _activate(self, z: Tensor) -> Tensor:
        if self._activations == {"relu"}:
            return z.relu()
        if self._activations == {"none"}:
            return z
        # NaN stays NaN, as in `relu`: a network diverges in a stack if it does alone.
        return torch.where((z <= 0) & ~self.is_linear, 0.0, z)

    def is_linear_at(self, layer: str) -> Bool[Tensor, "networks 1 1"]:
        """Which networks have no ReLU after this layer's z."""
        return torch.ones_like(self.is_linear) if layer == "logits" else self.is_linear

    def part(self, members: Sequence[int]) -> "Stack":
        """A stack of these members; one alone shares its weights with this stack."""
        sizes = {"inputs": self.weights[0].shape[1], "classes": self.units[-1]}
        pairs = zip(self.weights, self.biases, strict=True)
        rows = slice(members[0], members[0] + 1) if len(members) == 1 else list(members)
        layers = [(weight.detach()[rows], bias.detach()[rows]) for weight, bias in pairs]
        recipes = [self.recipes[member] for member in members]
        return Stack(recipes, **sizes, layers=layers).to(self.scales.device)

    def state(self, member: int) -> Weights:
        """A copy of the member's state dict, under the names that `plain` gives its layers."""
        return {
            name: values[member].detach().cpu().numpy().copy()
            for name, values in named_as_plain(self.weights, self.biases).items()
        }

    def load(self, member: int, weights: Weights) -> None:
        """Load a state dict with `plain`'s names into the member."""
        with torch.no_grad():
            for name, values in named_as_plain(self.weights, self.biases).items():
                values[member].copy_(torch.from_numpy(weights[name].copy()))


def plain(recipe: Recipe, weights: Weights) -> nn.Sequential:
    """One network as an ordinary module: Flatten, Linear, ReLU, Dropout …, on the CPU.

    Args:
        recipe: activation, drop rates and whether the logits are dropped.
        weights: a state dict as `Stack.state` gives it.
    """
    modules: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    if recipe.input_drop_rate > 0:
        modules["dropout0"] = nn.Dropout(recipe.input_drop_rate)
    for number, layer in enumerate(recipe.layers, start=1):
        units, inputs = weights[f"linear{number}.weight"].shape
        modules[f"linear{number}"] = nn.Linear(inputs, units)
        if recipe.has_relu(layer):
            modules[f"relu{number}"] = nn.ReLU()
        if recipe.drop_rate_of(layer) > 0:
            modules[f"dropout{number}"] = nn.Dropout(recipe.drop_rate_of(layer))
    network = nn.Sequential(modules)
    network.load_state_dict({name: torch.from_numpy(w.copy()) for name, w in weights.items()})
    return network


def read_weights(path: Path, recipe: Recipe) -> Weights:
    """The state dict in a safetensors file, if it is of a network of this recipe.

    Raises:
        ValueError: it is not; the message says what is there instead.
    """
    try:
        weights: Weights = load_file(path)
    except (SafetensorError, OSError, KeyError, TypeError) as error:
        raise ValueError(f"no whole safetensors file of arrays: {error!r}") from None
    found = {name: (str(array.dtype), *array.shape) for name, array in weights.items()}
    inputs = found.get("linear1.weight", (0,))[-1]
    classes = found.get(f"linear{len(recipe.layers)}.bias", (0,))[-1]
    expected: dict[str, tuple[object, ...]] = {}
    for number, (before, units) in enumerate(pairwise((inputs, *recipe.widths, classes)), 1):
        expected[f"linear{number}.weight"] = ("float32", units, before)
        expected[f"linear{number}.bias"] = ("float32", units)
    if found != expected:
        wrong = min(name for name in found | expected if found.get(name) != expected.get(name))
        raise ValueError(
            f"{wrong[:80]!a} is {found.get(wrong)} where widths {recipe.widths} ask for "
            f"{expected.get(wrong)}"
        )
    return weights


def named_as_plain(weights: Iterable[Tensor], biases: Iterable[Tensor]) -> dict[str, Tensor]:
    """A stack's weights and biases under the names that `plain` gives them, laid out as there."""
    return {
        f"linear{number}.{kind}": values
        for number, (weight, bias) in enumerate(zip(weights, biases, strict=True), start=1)
        for kind, values in (("weight", weight.mT), ("bias", bias[:, 0]))
    }


def _drawn(recipes: Sequence[Recipe], sizes: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
    """Weight and bias of each layer, with every member's initial weights side by side."""
    members = [_initial_weights(sizes, recipe.seed) for recipe in recipes]
    return [
        (
            torch.stack([weight.T for weight, _ in layer]),
            torch.stack([bias for _, bias in layer])[:, None],
        )
        for layer in zip(*members, strict=True)
    ]


def _initial_weights(sizes: Sequence[int], seed: int) -> list[tuple[Tensor, Tensor]]:
    """The default of `nn.Linear`, uniform in ±1/sqrt(inputs), from the seed's own stream."""
    source = devices.generator(torch.device("cpu"), seed, "initial weights")
    return [initial_layer(inputs, units, source) for inputs, units in pairwise(sizes)]


def initial_layer(inputs: int, units: int, source: torch.Generator) -> tuple[Tensor, Tensor]:
    """Weight, shape (units, inputs), and bias of a layer as it begins, drawn from the source."""
    bound = inputs**-0.5
    weight = torch.empty(units, inputs).uniform_(-bound, bound, generator=source)
    return weight, torch.empty(units).uniform_(-bound, bound, generator=source)
