"""One elementary step in its parts: push, path, saddle search, verification.

The oxygen of formaldehyde is pushed onto a hydrogen, which gives hydroxymethylene. Every part is a
search that requests energies; ``solve`` runs it on a surface.
"""

from pathlib import Path

import numpy as np

from afir import (
    KJ_PER_MOL,
    Candidate,
    ForceTerm,
    StepSettings,
    characterise,
    confirm,
    load_surface,
    push,
    read_structure,
    relax_path,
    saddle,
    solve,
)

molecule, positions = read_structure(Path(__file__).with_name("h2co.xyz"))
surface = load_surface("gfn2", molecule)
settings = StepSettings(gamma=1000.0)

# The start: a minimum, verified by its exact Hessian.
eq = solve(characterise(molecule, positions, settings), surface)
print(f"EQ: order {eq.order}, softest mode {eq.wavenumbers[0]:.0f} cm⁻¹")

# The push: atoms 1 (O) and 2 (H) are pushed together, with increasing force, until bonds change.
term = ForceTerm.parse("+1|2")
rng = np.random.default_rng(7)
path = solve(
    push(molecule, eq.positions, [term], settings, hessian=eq.hessian, rng=rng),
    surface.for_paths(),
)
highest = max(point.energy for point in path.points)
print(f"push {term}: γ = {path.gamma:.0f} kJ/mol, {len(path.points)} points")
print(f"highest point of the push: {(highest - eq.energy) / KJ_PER_MOL:.0f} kJ/mol")

# The path relaxes towards the valley; its peaks are guesses of the transition state.
peaks = solve(relax_path(molecule, path.points, eq.hessian, settings), surface.for_paths())
top = max(peaks, key=lambda peak: peak.energy)
print(f"highest peak of the relaxed path: {(top.energy - eq.energy) / KJ_PER_MOL:.0f} kJ/mol")

# The saddle point, and its verification: one negative eigenvalue, an IRC to a minimum at both ends.
found = solve(
    saddle(molecule, top.positions, settings, direction=top.tangent, hessian=top.hessian), surface
)
proof = solve(
    confirm(molecule, Candidate(found.positions, found.energy, found.hessian, "path"), settings),
    surface,
)
print(f"TS: {(proof.point.energy - eq.energy) / KJ_PER_MOL:.1f} kJ/mol, {proof.outcome.value}")
for end in proof.ends:
    print(f"  one end at {(end.energy - eq.energy) / KJ_PER_MOL:.1f} kJ/mol")
