"""Model Hessians, their updates, steps on them, and modes."""
