"""What a finished network leaves in its run, and how it is loaded again."""
