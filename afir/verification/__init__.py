"""What counts as proven: minima, transition states, a consistent surface."""
