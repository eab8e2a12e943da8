"""The built-in surfaces; each module is the only importer of its library."""
