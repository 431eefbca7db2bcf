"""The optimizer that a recipe names, over all networks of a stack at once."""

import math
from collections.abc import Mapping

import torch
from jaxtyping import Bool
from torch import Tensor
from torch.optim.adam import adam
from torch.optim.sgd import sgd

from pipeline.config.recipe import Recipe
from pipeline.training.stack import Stack

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8  # the defaults of `torch.optim.Adam`


class Optimizer:
    """Adam (Kingma and Ba 2015) or SGD, by torch's own kernels.

    `torch.optim.Adam` calls the same ones; but making one imports torch's compiler, which takes as
    long as torch itself, and its steps take a twentieth of a small network's update longer.

    After each step it scales down the incoming weights of every unit, the logits among them, whose
    L2 norm is above the network's `max_norm` (Srivastava et al. 2014, section 5.1).

    Attributes:
        learning_rate: of the next steps.
        state: what it remembers, under names such as `0/exp_avg`, 0 for the first parameter.
    """

    def __init__(self, stack: Stack) -> None:
        """Take the stack's parameters, and the settings that its recipes share."""
        self._recipe: Recipe = stack.recipes[0]
        self._parameters: list[Tensor] = list(stack.parameters())
        self._weights: list[Tensor] = list(stack.weights)
        self.learning_rate = self._recipe.learning_rate
        limits = [recipe.max_norm or math.inf for recipe in stack.recipes]
        self._has_limit = min(limits) < math.inf
        self._limits = torch.tensor(limits, device=self._weights[0].device)[:, None, None]
        self.state: dict[str, Tensor] = {}
        if self._recipe.optimizer == "adam":
            for index, parameter in enumerate(self._parameters):
                # On the device, where a captured step counts by itself.
                self.state[f"{index}/step"] = torch.zeros((), device=parameter.device)
                for moment in ("exp_avg", "exp_avg_sq"):
                    self.state[f"{index}/{moment}"] = torch.zeros_like(parameter)

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Remember what another one had in its `state`.

        Raises:
            ValueError: it was another one's.
        """
        if self._recipe.optimizer == "adam" and state.keys() != self.state.keys():
            raise ValueError(f"an optimizer's state has {sorted(self.state)}, not {sorted(state)}")
        for name, value in state.items():
            parameter = self._parameters[int(name.split("/")[0])]
            self.state[name] = value.to(parameter.device)

    def forget(self, parameter: Tensor, member: int, where: Bool[Tensor, "..."]) -> None:
        """Set what is remembered of some of a member's weights to 0, as at the beginning.

        Adam's number of steps stays: all weights share it.

        Args:
            parameter: one of the stack's.
            member: whose weights.
            where: which of them, broadcast over the member's part of the parameter.
        """
        index = next(i for i, each in enumerate(self._parameters) if each is parameter)
        for name, value in self.state.items():
            if name.split("/")[0] == str(index) and value.ndim:
                value[member].masked_fill_(where, 0.0)

    def begin(self, epoch: int) -> None:
        """Take the learning rate of this epoch, from 1 on."""
        recipe = self._recipe
        self.learning_rate = recipe.learning_rate * recipe.learning_rate_decay ** (epoch - 1)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self._parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Change the parameters by their gradients, and hold the weights to their norm.

        Raises:
            ValueError: one has none.
        """
        self._descend()
        for weight in self._weights if self._has_limit else ():
            norms = torch.linalg.vector_norm(weight, dim=1, keepdim=True)
            weight.mul_(torch.where(norms > self._limits, self._limits / norms, 1.0))

    def _descend(self) -> None:
        gradients = [p.grad for p in self._parameters if p.grad is not None]
        if len(gradients) != len(self._parameters):
            raise ValueError("every parameter must have a gradient, got some without")
        recipe, device = self._recipe, self._parameters[0].device.type
        rate, decay = self.learning_rate, recipe.weight_decay
        is_fused = device in {"cpu", "cuda", "mps"}
        if recipe.optimizer == "adam":
            adam(
                self._parameters,
                gradients,
                self._all("exp_avg"),
                self._all("exp_avg_sq"),
                [],
                self._all("step"),
                fused=is_fused,
                capturable=device == "cuda",
                amsgrad=False,
                beta1=BETA_1,
                beta2=BETA_2,
                lr=rate,
                weight_decay=decay,
                eps=EPSILON,
                maximize=False,
            )
            return
        buffers = [self.state.get(f"{i}/momentum_buffer") for i in range(len(gradients))]
        sgd(
            self._parameters,
            gradients,
            buffers,
            fused=is_fused,
            weight_decay=decay,
            momentum=recipe.momentum,
            lr=rate,
            dampening=0.0,
            nesterov=False,
            maximize=False,
        )
        for index, buffer in enumerate(buffers):
            if buffer is not None:
                self.state[f"{index}/momentum_buffer"] = buffer

    def _all(self, name: str) -> list[Tensor]:
        return [self.state[f"{index}/{name}"] for index in range(len(self._parameters))]
