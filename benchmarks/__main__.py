"""Runs the benchmarks whose names are given, or all, and prints their ratios."""

import sys
from importlib import import_module

NAMES = ("training_pass", "whole_process", "start_and_end", "memory", "accuracy", "born_dead")


def main() -> None:
    """Run them one after another."""
    chosen = sys.argv[1:] or list(NAMES)
    if unknown := set(chosen) - set(NAMES):
        sys.exit(f"a benchmark must be one of {', '.join(NAMES)}, got {', '.join(unknown)}")
    for name in chosen:
        print(f"== {name}", flush=True)
        import_module(f"benchmarks.{name}").main()


if __name__ == "__main__":
    main()
