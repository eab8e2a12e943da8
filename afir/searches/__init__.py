"""Search algorithms, one a file, each a coroutine that asks for energies and returns a result."""
