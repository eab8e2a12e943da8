"""Learning a surface on the way."""
