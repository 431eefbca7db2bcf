"""A registered model with all that is known of it, from one store to another."""
