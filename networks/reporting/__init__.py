"""A run as people read it: tables, JSON, figures, exports."""
