"""Who is told when a module is called: `nn.Module.__call__`, replaced while anybody watches.

Hooks on a module would be saved with it, scripted with it, and turn PyTorch's fast paths off. What
stands in for them here belongs to no module: it asks a table whether this very module is watched,
and it is gone with the last probe.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from typing import Any

from torch import nn

from why_zero._watch.isolation import is_being_recorded


class Outputs:
    """Where the output of a call is put for whoever stands around it."""

    value: object = None


# Makes a block around one call of a module with these arguments.
Around = Callable[[nn.Module, object], AbstractContextManager[Outputs]]


class _Here(threading.local):
    """The listeners of this thread, the innermost last."""

    def __init__(self) -> None:
        self.listeners: tuple[Around, ...] = ()


_lock = threading.Lock()
_watchers: dict[int, tuple[Around, ...]] = {}
_strays: dict[int, Callable[[nn.Module], None]] = {}
_here = _Here()
_blocks = 0
_plain_call: Callable[..., Any] = nn.Module.__call__


def _call(module: nn.Module, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
    # First of all, so that torch.compile reads nothing but the plain call.
    if is_being_recorded():
        return _plain_call(module, *args, **kwargs)
    around = _here.listeners + _watchers.get(id(module), ())
    if not around:
        if (tell := _strays.get(id(module))) is not None:
            tell(module)
        return _next(module)(*args, **kwargs)
    with ExitStack() as stack:
        outputs = [stack.enter_context(enter(module, (args, kwargs))) for enter in around]
        value = _next(module)(*args, **kwargs)
        for each in outputs:
            each.value = value
    return value


def _next(module: nn.Module) -> Callable[..., Any]:
    """What the plain call calls in its turn: no frame is added, for modules nested deeply."""
    if _plain_call is not nn.Module._wrapped_call_impl:  # noqa: SLF001 somebody else's
        return partial(_plain_call, module)
    return module._compiled_call_impl or module._call_impl  # noqa: SLF001


@contextmanager
def watched(
    module: nn.Module, watcher: Around, *, stray: Callable[[nn.Module], None]
) -> Iterator[None]:
    """A block in which every call of this module, in any thread, is inside the watcher's.

    Its parts are told to `stray` where nobody stands around their call.
    """
    parts = {id(part): stray for part in module.modules() if part is not module}
    with _installed():
        with _lock:
            _watchers[id(module)] = (*_watchers.get(id(module), ()), watcher)
            _strays.update(parts)
        try:
            yield
        finally:
            with _lock:
                for part in parts:
                    _strays.pop(part, None)
                left = tuple(other for other in _watchers.pop(id(module)) if other != watcher)
                if left:
                    _watchers[id(module)] = left


@contextmanager
def listening(listener: Around) -> Iterator[None]:
    """A block in which every call of a module in this thread is inside the listener's."""
    with _installed():
        _here.listeners = (*_here.listeners, listener)
        try:
            yield
        finally:
            _here.listeners = tuple(other for other in _here.listeners if other != listener)


@contextmanager
def _installed() -> Iterator[None]:
    """A block in which module calls come here."""
    global _plain_call, _blocks  # noqa: PLW0603
    with _lock:
        if nn.Module.__call__ is not _call and not _blocks:
            _plain_call = nn.Module.__call__
            nn.Module.__call__ = _call  # type: ignore[method-assign]
        _blocks += 1
    try:
        yield
    finally:
        with _lock:
            _blocks -= 1
            # Somebody may have put their own over ours, which then stays and does the plain call.
            if not _blocks and nn.Module.__call__ is _call:
                nn.Module.__call__ = _plain_call  # type: ignore[method-assign]
