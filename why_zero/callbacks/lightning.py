"""A probe as a callback of Lightning, by the name `lightning` or `pytorch_lightning`."""

import logging
from typing import Any

from torch import nn

from why_zero.callbacks._names import within
from why_zero.callbacks._quiet import quiet
from why_zero.probe import ZeroProbe

try:
    from lightning.pytorch import Callback
except ModuleNotFoundError:  # the same library under its older name
    from pytorch_lightning import Callback

_log = logging.getLogger(__name__)


class ZeroProbeCallback(Callback):
    """Logs, at the end of each training epoch, why activations were zero in it.

        Trainer(callbacks=[ZeroProbeCallback(every=20)])

    The names are those of `Findings.scalars`, with layers by their path in the LightningModule,
    whichever part of it is watched. An error in here is logged and ends no training.

    Attributes:
        probe: of the latest fit, for `probe.report()` and `probe.history`; None before.
    """

    def __init__(
        self, submodule: str | None = None, *, every: int = 20, prefix: str = "why_zero/"
    ) -> None:
        """Be ready to watch.

        Args:
            submodule: the part to watch, by its path in the LightningModule. By default it is the
                LightningModule, where `training_step` calls `self(...)`, and else the one part
                with parameters that it calls.
            every: watch one of every so many passes.
            prefix: of the metrics' names.
        """
        super().__init__()
        self.probe: ZeroProbe | None = None
        self._submodule = submodule
        self._watched = ""
        self._is_settled = True
        self._prefix = prefix
        self._every = every
        ZeroProbe(nn.Identity(), every=every)  # an error now, not in the middle of a fit

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:  # noqa: ANN401
        """Begin to watch, after Lightning's trial of the validation loop."""
        del trainer
        with quiet("a probe"):
            self._is_settled = self._submodule is not None
            self._watch(pl_module, self._submodule or "")

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:  # noqa: ANN401
        """After the first batch, watch what was called in it."""
        del trainer
        if not self._is_settled:
            self._is_settled = True
            with quiet("a probe"):
                self._follow(pl_module)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:  # noqa: ANN401
        """Log what was counted in this epoch."""
        del trainer
        with quiet("this epoch's scalars"):
            if self.probe is not None:
                scalars = self.probe.next_epoch().scalars(self._prefix)
                pl_module.log_dict(within(self._watched, scalars))

    def teardown(self, trainer: Any, pl_module: Any, stage: str) -> None:  # noqa: ANN401
        """Leave everything as it was, also where a tuner has cut the fit short."""
        del trainer, pl_module, stage
        self._stop()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:  # noqa: ANN401
        """Leave everything as it was."""
        del trainer, pl_module, exception
        self._stop()

    def _watch(self, module: nn.Module, path: str) -> None:
        self._stop()
        self.probe = None
        self.probe = ZeroProbe(module.get_submodule(path), every=self._every)
        self._watched = path
        self.probe.start()

    def _stop(self) -> None:
        with quiet("the last checks"):
            if self.probe is not None:
                self.probe.stop()

    def _follow(self, module: nn.Module) -> None:
        """Where the module itself was not called, watch the part that was."""
        if self.probe is None or self.probe.calls:
            return
        # Calls that nobody watched are noted by the path of the part.
        parts = dict(module.named_modules())
        called = [
            path
            for path in self.probe.notes
            if path in parts and any(True for _ in parts[path].parameters())
        ]
        outer = [
            path for path in called if not any(path.startswith(f"{other}.") for other in called)
        ]
        if len(outer) != 1:
            _log.warning(
                "training_step must call self(...) or one part of the module for a probe to see "
                "it, got calls of %s: say which part to watch, ZeroProbeCallback(submodule)",
                ", ".join(outer) or "none",
            )
            return
        _log.info("why_zero watches %s, which training_step calls", outer[0])
        self._watch(module, outer[0])
