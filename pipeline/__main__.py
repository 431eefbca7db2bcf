"""`python -m pipeline STEP …`: calls the command line, nothing else."""

import sys


def main() -> None:
    """Run the command line, where what it needs is installed."""
    try:
        from pipeline.cli.commands import main as run  # noqa: PLC0415

        run()
    except ModuleNotFoundError as error:
        sys.exit(
            f"error: the pipeline needs packages that are not installed, got no {error.name}: "
            'install it with pip install "why-zero[pipeline]"'
        )


if __name__ == "__main__":
    main()
