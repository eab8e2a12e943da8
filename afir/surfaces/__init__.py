"""The surfaces that come with afir; each module is the only importer of its library."""
