"""The run: from the first structure to the last trial."""
