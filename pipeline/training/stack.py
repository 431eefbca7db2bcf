"""K networks of one shape as one module: weights with a leading axis K.

It knows neither optimizers nor epochs, and draws only initial weights: masks are passed in.
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from safetensors import SafetensorError
from safetensors.numpy import load_file
from torch import Tensor, nn

from pipeline.config.recipe import Activation, Recipe
from pipeline.records import Weights
from pipeline.training import device as devices
from pipeline.training.batched_linear import batched_linear

# Below 0 a leaky ReLU is this times z, as `nn.LeakyReLU` has it (Maas et al. 2013).
LEAK = 0.01
_ACTIVATIONS: Mapping[Activation, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "none": lambda z: z,
    "sigmoid": torch.sigmoid,
    "leaky_relu": lambda z: nn.functional.leaky_relu(z, LEAK),
}
_MODULES: Mapping[Activation, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
    "leaky_relu": lambda: nn.LeakyReLU(LEAK),
}


@dataclass(frozen=True)
class PixelScale:
    """How a network scales its inputs: (pixel - mean) / deviation, with pixels in [0, 1]."""

    mean: float
    deviation: float


class ScaledInputs(nn.Module):
    """The first module of a network that scales its inputs."""

    def __init__(self, scale: PixelScale) -> None:
        """Keep both numbers in the state dict, in float32."""
        super().__init__()
        self.mean: Float[Tensor, ""]
        self.deviation: Float[Tensor, ""]
        self.register_buffer("mean", torch.tensor(scale.mean))
        self.register_buffer("deviation", torch.tensor(scale.deviation))

    def forward(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The inputs as the first layer takes them."""
        return (x - self.mean) / self.deviation


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

    Drop rate, activation, initial weights, scaling of inputs and seed may differ between the
    members; the widths may not.
    """

    def __init__(
        self,
        recipes: Sequence[Recipe],
        *,
        inputs: int,
        classes: int,
        layers: Sequence[tuple[Tensor, Tensor]] | None = None,
        pixels: PixelScale | None = None,
    ) -> None:
        """Draw every member's initial weights from its own seed, on the CPU.

        Args:
            recipes: one for each member.
            inputs: features of a sample.
            classes: logits of each network.
            layers: weight and bias of each layer, to be shared instead of drawn.
            pixels: mean and standard deviation of the pixels trained on, for members that
                standardise their inputs; without them these give NaN until weights are loaded.

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
        has_no_relu = torch.tensor([recipe.activation != "relu" for recipe in recipes])
        self.scales: Float[Tensor, "layers networks 1 1"]
        self.has_no_relu: Bool[Tensor, "networks 1 1"]
        self.register_buffer("scales", scales[..., None, None], persistent=False)
        self.register_buffer("has_no_relu", has_no_relu[:, None, None], persistent=False)
        input_scales = torch.tensor([1 / (1 - recipe.input_drop_rate) for recipe in recipes])
        self.input_scales: Float[Tensor, "networks 1 1"]
        self.register_buffer("input_scales", input_scales[:, None, None], persistent=False)
        self._kinds = list(dict.fromkeys(recipe.activation for recipe in recipes))
        for kind in self._kinds[1:]:
            has_it = torch.tensor([recipe.activation == kind for recipe in recipes])
            self.register_buffer(f"has_{kind}", has_it[:, None, None], persistent=False)
        pixel_scales = [_pixel_scale(recipe, pixels) for recipe in recipes]
        self._scales_inputs = any(recipe.scaling != "unit" for recipe in recipes)
        # One for all is enough where all are alike: then a batch for all stays one for all.
        rows = slice(1) if len({recipe.scaling for recipe in recipes}) == 1 else slice(None)
        self.mean: Float[Tensor, "networks_or_1 1 1"]
        self.deviation: Float[Tensor, "networks_or_1 1 1"]
        for name in ("mean", "deviation"):
            values = torch.tensor([getattr(scale, name) for scale in pixel_scales[rows]])
            self.register_buffer(name, values[:, None, None], persistent=False)

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
        """The pass of the inputs themselves, scaled: its y is what the first layers see.

        Args:
            x: as in `forward`.
            keep: the mask of the inputs, True = kept; None where nothing is dropped.
        """
        x = self._scaled(x)
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

    def _scaled(
        self, x: Float[Tensor, "networks_or_1 batch inputs"]
    ) -> Float[Tensor, "scaled batch inputs"]:
        """Pixels as the first layers take them: one batch for all only if they scale alike."""
        return (x - self.mean) / self.deviation if self._scales_inputs else x

    def _activate(self, z: Tensor) -> Tensor:
        first, *others = self._kinds
        h = _ACTIVATIONS[first](z)
        for kind in others:
            h = torch.where(self.get_buffer(f"has_{kind}"), _ACTIVATIONS[kind](z), h)
        return h

    def has_no_relu_at(self, layer: str) -> Bool[Tensor, "networks 1 1"]:
        """Which networks have no ReLU after this layer's z, so that nothing closes its units."""
        return torch.ones_like(self.has_no_relu) if layer == "logits" else self.has_no_relu

    def part(self, members: Sequence[int]) -> "Stack":
        """A stack of these members; one alone shares its weights with this stack."""
        sizes = {"inputs": self.weights[0].shape[1], "classes": self.units[-1]}
        pairs = zip(self.weights, self.biases, strict=True)
        rows = slice(members[0], members[0] + 1) if len(members) == 1 else list(members)
        layers = [(weight.detach()[rows], bias.detach()[rows]) for weight, bias in pairs]
        recipes = [self.recipes[member] for member in members]
        part = Stack(recipes, **sizes, layers=layers).to(self.scales.device)
        chosen = list(members)[: len(part.mean)]
        part.mean = self.mean.expand(len(self.recipes), 1, 1)[chosen]
        part.deviation = self.deviation.expand(len(self.recipes), 1, 1)[chosen]
        return part

    def twins(self) -> list[int]:
        """For each member the first one that computes the same in evaluation mode.

        Those are networks with the same weights: at birth all of one seed, whatever they drop.
        """
        parameters = (*self.biases, *self.weights)

        def is_twin(one: int, other: int) -> bool:
            first, second = self.recipes[one], self.recipes[other]
            return (first.activation, first.scaling) == (second.activation, second.scaling) and all(
                torch.equal(values[one], values[other]) for values in parameters
            )

        firsts: list[int] = []
        for member in range(len(self.recipes)):
            firsts.append(next((f for f in dict.fromkeys(firsts) if is_twin(f, member)), member))
        return firsts

    def state(self, member: int) -> Weights:
        """A copy of the member's state dict, under the names that `plain` gives its layers."""
        return {
            name: values.detach().cpu().numpy().copy()
            for name, values in self._named(member).items()
        }

    def load(self, member: int, weights: Weights) -> None:
        """Load a state dict with `plain`'s names into the member."""
        with torch.no_grad():
            for name, values in self._named(member).items():
                values.copy_(torch.from_numpy(weights[name].copy()))

    def _named(self, member: int) -> dict[str, Tensor]:
        """The member's tensors, in place, under the names of its state dict."""
        named = named_as_plain(self.weights, self.biases)
        tensors = {name: values[member] for name, values in named.items()}
        if self.recipes[member].scaling != "unit":
            for name, values in (("mean", self.mean), ("deviation", self.deviation)):
                tensors[f"scaling.{name}"] = values[member % len(values), 0, 0]
        return tensors


def plain(recipe: Recipe, weights: Weights) -> nn.Sequential:
    """One network as an ordinary module: Flatten, Linear, ReLU, Dropout …, on the CPU.

    It takes pixels in [0, 1]; where the recipe scales them otherwise, its second module does.

    Args:
        recipe: activation, scaling, drop rates and whether the logits are dropped.
        weights: a state dict as `Stack.state` gives it.
    """
    modules: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    if recipe.scaling != "unit":
        modules["scaling"] = ScaledInputs(PixelScale(0.0, 1.0))  # until the state dict is loaded
    if recipe.input_drop_rate > 0:
        modules["dropout0"] = nn.Dropout(recipe.input_drop_rate)
    for number, layer in enumerate(recipe.layers, start=1):
        units, inputs = weights[f"linear{number}.weight"].shape
        modules[f"linear{number}"] = nn.Linear(inputs, units)
        if layer != "logits" and recipe.activation != "none":
            name = recipe.activation.replace("leaky_relu", "leaky")
            modules[f"{name}{number}"] = _MODULES[recipe.activation]()
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
    if recipe.scaling != "unit":
        expected |= {"scaling.mean": ("float32",), "scaling.deviation": ("float32",)}
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
    members = [_initial_weights(sizes, recipe) for recipe in recipes]
    return [
        (
            torch.stack([weight.T for weight, _ in layer]),
            torch.stack([bias for _, bias in layer])[:, None],
        )
        for layer in zip(*members, strict=True)
    ]


def _initial_weights(sizes: Sequence[int], recipe: Recipe) -> list[tuple[Tensor, Tensor]]:
    """Weight and bias of each layer, from the seed's own stream."""
    source = devices.generator(torch.device("cpu"), recipe.seed, "initial weights")
    return [initial_layer(inputs, units, recipe, source) for inputs, units in pairwise(sizes)]


def initial_layer(
    inputs: int, units: int, recipe: Recipe, source: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Weight, shape (units, inputs), and bias of a layer as the recipe draws them.

    `default` is that of `nn.Linear`, uniform in ±1/sqrt(inputs), as are biases. `he` is normal with
    variance 2/inputs (He et al. 2015, equation 10).
    """
    bound = inputs**-0.5
    weight, bias = torch.empty(units, inputs), torch.empty(units)
    if recipe.init == "default":
        weight.uniform_(-bound, bound, generator=source)
    else:
        sigma = bound * 2**0.5 if recipe.init == "he" else float(recipe.init.split(":")[1])
        weight.normal_(0, sigma, generator=source)
    # Drawn in any case, so that biases of 0 leave the weights as they are.
    bias.uniform_(-bound, bound, generator=source)
    return weight, torch.zeros_like(bias) if recipe.zero_biases else bias


def _pixel_scale(recipe: Recipe, pixels: PixelScale | None) -> PixelScale:
    """How the recipe's network scales its inputs, on data with these pixels."""
    if recipe.scaling == "standard":
        return pixels or PixelScale(math.nan, math.nan)
    return PixelScale(0.5, 0.5) if recipe.scaling == "symmetric" else PixelScale(0.0, 1.0)
