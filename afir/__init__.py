"""One potential energy surface, one structure at a time: surfaces, forces and searches.

`afir.molecule` holds elements, charge and multiplicity, `afir.pes.surface` gives energies,
`afir.searches` requests them, and `afir.pes.driver` connects the two.
"""
