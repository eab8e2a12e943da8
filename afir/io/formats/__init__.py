"""Readers of structure files, by format; reading changes no file."""
