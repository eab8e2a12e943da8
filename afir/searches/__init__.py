"""Search algorithms, one a file: coroutines that request energies and return a result."""
