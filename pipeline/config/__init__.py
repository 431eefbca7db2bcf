"""Settings and recipes: what can be chosen, its defaults, its rules. Starts without torch."""
