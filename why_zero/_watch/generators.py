"""The random number generators as they are now, put back later."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor


def state_of(device: torch.device) -> Tensor:
    """The state of the device's default generator, a copy."""
    if device.type == "cpu":
        return torch.get_rng_state()
    state: Tensor = torch.get_device_module(device).get_rng_state(*_which(device))
    return state


def restore_state(device: torch.device, state: Tensor) -> None:
    """Set the device's default generator to a state that `state_of` gave."""
    if device.type == "cpu":
        torch.set_rng_state(state)
    else:
        torch.get_device_module(device).set_rng_state(state, *_which(device))


def _which(device: torch.device) -> tuple[torch.device, ...]:
    # Apple's module knows one device and takes no argument for it.
    return () if device.type == "mps" else (device,)


@contextmanager
def preserved(devices: set[torch.device]) -> Iterator[None]:
    """A block after which every global generator is as it was before: torch's, Python's, NumPy's.

    torch may draw on these devices, besides the CPU.
    """
    states = {device: state_of(device) for device in devices | {torch.device("cpu")}}
    python = random.getstate()
    # The global generator is the one that a user's transforms draw from.
    legacy = np.random.get_state()  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(legacy)  # noqa: NPY002
        random.setstate(python)
        for device, state in states.items():
            restore_state(device, state)
