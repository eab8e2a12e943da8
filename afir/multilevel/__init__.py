"""Search on one surface, verify on another."""
