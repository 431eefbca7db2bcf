"""`python -m pipeline STEP …`: calls the command line, nothing else."""

from pipeline.cli.commands import main

if __name__ == "__main__":
    main()
