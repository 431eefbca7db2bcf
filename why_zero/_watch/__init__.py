"""How one pass is watched: calls caught, traced to their layers, counted and checked."""
