"""Three small networks from one start, and what every unit was at every update."""
