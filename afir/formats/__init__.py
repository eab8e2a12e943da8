"""Structure files: what is in them, by format, and nothing that reading them could change."""
