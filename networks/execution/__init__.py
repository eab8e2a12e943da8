"""Tasks, what they run on, and executors."""
