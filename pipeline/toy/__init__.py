"""Three small networks from one start, with every unit's state at every update."""
