"""A probe as a callback of the Hugging Face `Trainer`."""

from types import TracebackType
from typing import Any

from torch import nn
from transformers import TrainerCallback

from why_zero.callbacks._names import within
from why_zero.callbacks._quiet import quiet
from why_zero.probe import ZeroProbe


class ZeroProbeCallback(TrainerCallback):
    """Adds to what the `Trainer` logs why activations were zero since it logged before.

        with ZeroProbeCallback(every=20).add_to(trainer) as callback:
            trainer.train()

    `Trainer(callbacks=[callback])` is enough for the console and `state.log_history`. But a Trainer
    puts such callbacks behind those of `report_to`, which have sent the line off by then: `add_to`
    puts this one in front. The `with` block stops the probe where `train()` raises, of which a
    Trainer tells its callbacks nothing; without it, the next `train()` or `stop()` does.

    The names are those of `Findings.scalars`, with layers by their path in the model, whichever
    part of it is watched. An error in here is logged and ends no training.

    Attributes:
        probe: of the latest training, for `probe.report()`; None before.
    """

    def __init__(
        self, submodule: str | None = None, *, every: int = 20, prefix: str = "why_zero/"
    ) -> None:
        """Be ready to watch.

        Args:
            submodule: the part to watch, by its path in the model; by default all of it.
            every: watch one of every so many passes.
            prefix: of the metrics' names.
        """
        super().__init__()
        self.probe: ZeroProbe | None = None
        self._submodule = submodule
        self._prefix = prefix
        self._every = every
        ZeroProbe(nn.Identity(), every=every)  # an error now, not when training begins

    def add_to(self, trainer: Any) -> "ZeroProbeCallback":  # noqa: ANN401 also somebody's subclass
        """Be told of what is logged before those are who send it to a tracker."""
        callbacks = trainer.callback_handler.callbacks
        callbacks[:] = [self, *(other for other in callbacks if other is not self)]
        return self

    def stop(self) -> None:
        """Leave everything as it was."""
        with quiet("the last checks"):
            if self.probe is not None:
                self.probe.stop()

    def __enter__(self) -> "ZeroProbeCallback":  # noqa: PYI034 beartype, in the tests, does not take Self
        """A block that stops the probe."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave everything as it was: as `stop`."""
        self.stop()

    def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:  # noqa: ANN401
        """Begin to watch."""
        del args, state, control
        self.stop()
        self.probe = None
        with quiet("a probe"):
            module = given["model"].get_submodule(self._submodule or "")
            self.probe = ZeroProbe(module, every=self._every)
            self.probe.start()

    def on_log(self, args: Any, state: Any, control: Any, **given: Any) -> None:  # noqa: ANN401
        """Add to a line with a training loss what was counted since the line before."""
        del args, control
        with quiet("these scalars"):
            logs = given["logs"]
            if self.probe is None or "loss" not in logs:
                return
            scalars = self.probe.next_epoch(keep=False).scalars(self._prefix)
            scalars = within(self._submodule or "", scalars)
            logs.update(scalars)
            # A copy of the line is in the history already.
            state.log_history[-1].update(scalars)

    def on_train_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:  # noqa: ANN401
        """Leave everything as it was."""
        del args, state, control, given
        self.stop()
