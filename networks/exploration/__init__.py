"""The run: from the first structure to the last round."""
