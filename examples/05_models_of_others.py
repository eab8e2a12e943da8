"""Screen with a published potential, then optimise on a better surface.

ANI-1ccx explores formaldehyde through its ASE calculator (``ani.py``). It was trained on molecules
near their minima, so barriers may be wrong and minima spurious: each structure is a guess, which
is optimised on GFN2-xTB (or ``dft``). Needs the extra ``ani``.
"""

from pathlib import Path

from afir import (
    KJ_PER_MOL,
    Candidate,
    Outcome,
    SurfaceError,
    characterise,
    confirm,
    load_surface,
    read_structure,
    saddle,
    solve,
)
from networks import Settings, explore, open_run

molecule, start = read_structure(Path(__file__).with_name("h2co.xyz"))

# The screening: a few pushes on ANI-1ccx.
settings = Settings(surface="ase:ani.ani1ccx", seed=7, policy="lowest-energy", max_trials=4)
output = Path("05.db")
output.unlink(missing_ok=True)  # left by an earlier run of this example
for _ in explore(molecule, start, settings, output):
    pass
screened = open_run(output).load_network()

# Then every structure is optimised on GFN2-xTB.
surface = load_surface("gfn2", molecule)
lowest = solve(characterise(molecule, start), surface).energy
zero = screened.eqs["EQ0"].energy
for eq in screened.eqs.values():
    point = solve(characterise(molecule, eq.positions), surface)
    there = f"{(point.energy - lowest) / KJ_PER_MOL:.1f} kJ/mol"
    print(f"{eq.id}: {(eq.energy - zero) / KJ_PER_MOL:.1f} kJ/mol, on GFN2-xTB {there}")
for ts in screened.tss.values():
    there = "no transition state"
    try:
        found = solve(saddle(molecule, ts.positions, hessian=ts.hessian), surface)
        if found.outcome is Outcome.CONVERGED:
            candidate = Candidate(found.positions, found.energy, found.hessian, "screening")
            proof = solve(confirm(molecule, candidate), surface)
            if proof.outcome is Outcome.CONFIRMED:
                there = f"{(proof.point.energy - lowest) / KJ_PER_MOL:.1f} kJ/mol"
    except SurfaceError as error:
        there = f"failed: {error}"
    print(f"{ts.id}: {(ts.energy - zero) / KJ_PER_MOL:.1f} kJ/mol, on GFN2-xTB {there}")
