"""What a user's mistake becomes: one line, no traceback. It must not know who shows it."""


class PipelineError(Exception):
    """A failure that its message explains in one line: the rule, what was given, what to do."""

    exit_code = 1


class UsageError(PipelineError):
    """A setting that breaks its rule, found before anything has started."""

    exit_code = 2
