"""Which network is registered, what it must pass, and what is said of it."""
