"""The instrument's own calls, kept from everybody else's modes and graphs."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import Tensor, nn
from torch.overrides import (
    TorchFunctionMode,
    _get_current_function_mode_stack,
    _pop_mode,
    _push_mode,
)
from torch.utils._python_dispatch import _disable_current_modes


class unseen:  # noqa: N801 used as a block
    """A block whose own calls of torch no mode sees and no graph records.

    It is entered twice at every call that is watched, so it is no generator.
    """

    def __enter__(self) -> None:
        # torch documents no public names for these; they are what its own modes use.
        self._functions = torch._C.DisableTorchFunction()  # noqa: SLF001
        self._functions.__enter__()
        self._modes: AbstractContextManager[object] | None = None
        if torch._C._len_torch_dispatch_stack():  # noqa: SLF001
            # Selective checkpointing, FLOP counters: they would take our products for the user's.
            self._modes = _disable_current_modes()
            self._modes.__enter__()
        self._had_gradients = torch.is_grad_enabled()
        torch._C._set_grad_enabled(False)  # noqa: SLF001

    def __exit__(self, *error: object) -> None:
        torch._C._set_grad_enabled(self._had_gradients)  # noqa: SLF001
        if self._modes is not None:
            self._modes.__exit__(None, None, None)
        self._functions.__exit__(None, None, None)


def is_plain(value: object) -> bool:
    """Whether it is a tensor with memory of its own, whose values can be read here and now."""
    # Subclasses (fake, distributed, nested tensors) need not have what their type promises.
    if not isinstance(value, Tensor):
        return False
    is_own = type(value).__torch_dispatch__ is not Tensor.__torch_dispatch__
    if is_own or value.layout is not torch.strided or value.is_nested or value.is_meta:
        return False
    try:
        value.untyped_storage()
    except (NotImplementedError, RuntimeError):  # inside torch.func's transforms
        return False
    return not value.is_quantized


def is_being_recorded() -> bool:
    """Whether torch is turning this call into a graph, of which the instrument is no part."""
    return torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None  # noqa: SLF001


def is_captured() -> bool:
    """Whether a CUDA graph is being captured: counts could not be read, and reading breaks it."""
    cuda = torch.cuda  # noqa: TID251 the pipeline's rule, where one file speaks of devices
    return cuda.is_initialized() and cuda.is_current_stream_capturing()


def is_recomputing() -> bool:
    """Whether a backward pass is under way: then checkpointing repeats what was counted."""
    return torch._C._current_graph_task_id() != -1  # noqa: SLF001


def is_foreign(module: nn.Module) -> bool:
    """Whether a module runs without the calls that are watched: compiled or scripted."""
    return (
        hasattr(module, "_orig_mod")
        or module._compiled_call_impl is not None  # noqa: SLF001
        or isinstance(module, torch.jit.ScriptModule)
    )


@contextmanager
def without_mode(mode: TorchFunctionMode) -> Iterator[None]:
    """A block without this mode, where it is the innermost: compilers read what modes are on."""
    stack = _get_current_function_mode_stack()
    if not stack or stack[-1] is not mode:
        yield
        return
    _pop_mode()
    try:
        yield
    finally:
        _push_mode(mode)
