"""What a user's mistake becomes: one line, no traceback."""

from why_zero.errors import WhyZeroError


class PipelineError(WhyZeroError):
    """A failure that its message explains in one line: the rule, what was given, what to do."""

    exit_code = 1


class UsageError(PipelineError):
    """A setting that breaks its rule, found before anything has started."""

    exit_code = 2


class OutOfMemoryError(PipelineError):
    """The device has not enough memory for what was asked of it."""


class Interrupted(KeyboardInterrupt):
    """SIGINT or SIGTERM: whoever holds a run open ends it as killed and passes this on."""

    def __init__(self, signal_number: int) -> None:
        """Remember the signal, from which the exit code follows."""
        super().__init__(signal_number)
        self.exit_code = 128 + signal_number
