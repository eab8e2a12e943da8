"""One potential energy surface, one structure at a time: surfaces, forces and searches.

`afir.molecule` says what stays fixed while atoms move, `afir.surface` gives energies,
`afir.searches` asks for them, and `afir.driver` brings the two together.
"""
