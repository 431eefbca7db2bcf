"""The command line: one command a step, and MLproject, both derived from the settings."""
