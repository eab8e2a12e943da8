"""Ways to find elementary steps: artificial forces and what else leads over barriers."""
