"""Any ASE calculator as a surface: the isomers of a small metal cluster.

The effective medium theory of ASE stands for your own calculator. ``check_surface`` checks
that it fulfils the contract of a surface before a search depends on it.
"""

from pathlib import Path

import numpy as np

from afir import KJ_PER_MOL, Molecule, StepSettings, check_surface, load_surface
from networks import Settings, explore, open_run

# A calculator is named by its import path.
NAME = "ase:ase.calculators.emt.EMT"

# Four copper atoms and one of aluminium, as a trigonal bipyramid with bonds of 2.5 Å.
molecule = Molecule.from_symbols(["Cu", "Cu", "Cu", "Cu", "Al"], multiplicity=2)
angles = 2.0 * np.pi * np.arange(3) / 3.0
ring = 1.44 * np.stack([np.cos(angles), np.sin(angles), np.zeros(3)], axis=1)
start = np.vstack([ring, [[0.0, 0.0, 2.0], [0.0, 0.0, -2.0]]])

surface = load_surface(NAME, molecule)
rng = np.random.default_rng(0)
report = check_surface(surface, start + 0.1 * rng.normal(size=start.shape), rng=rng)
print(f"the gradient is accurate to {report.gradient:.1e} eV/Å")

# Barriers are low here, so a weak push is enough: γ = 300 kJ/mol.
settings = Settings(surface=NAME, step=StepSettings(gamma=300.0), seed=7, terms=1)
output = Path("03.db")
output.unlink(missing_ok=True)  # left by an earlier run of this example
for _ in explore(molecule, start, settings, output):
    pass
network = open_run(output).load_network()
zero = network.lowest.energy
for eq in network.eqs.values():
    print(f"{eq.id}: {(eq.energy - zero) / KJ_PER_MOL:.1f} kJ/mol")
for ts in network.tss.values():
    print(f"{ts.id}: {ts.ends[0]} to {ts.ends[1]}, {(ts.energy - zero) / KJ_PER_MOL:.1f} kJ/mol")
