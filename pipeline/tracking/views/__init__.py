"""Saved views of MLflow's runs page: what they show, and how the page keeps them."""
