"""Bonds, rigid motion, superposition, symmetry: what a geometry is, without energies."""
