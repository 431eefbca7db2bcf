"""A registered model with everything recorded about it, from one store to another."""
