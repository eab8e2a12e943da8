"""Which trials there are, and which are left."""
