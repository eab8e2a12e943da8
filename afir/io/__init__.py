"""Structures from and to files, safe writing, interrupts, text for terminals and shells."""
