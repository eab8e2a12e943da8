"""The command line of single structures."""
