"""Search on a cheap surface, report on a better one.

GFN1-xTB searches and GFN2-xTB verifies, so that this runs in seconds. With ``"dft"`` the reference
is B3LYP/6-31G*, and with ``learn=True`` the difference is learned during the run
(docs/learned.md).
"""

from pathlib import Path

from afir import KJ_PER_MOL, read_structure, reference_gradients
from networks import Settings, explore, open_run

molecule, start = read_structure(Path(__file__).with_name("h2co.xyz"))
settings = Settings(surface="gfn1", reference="gfn2", window_kj_mol=500.0)
output = Path("06.db")
output.unlink(missing_ok=True)  # left by an earlier run of this example
for _ in explore(molecule, start, settings, output):
    pass
with open_run(output) as run:
    network, gradients = run.load_network(), run.summary().gradients
zero = network.lowest.energy
for ts in sorted(network.tss.values(), key=lambda ts: ts.energy):
    between = " – ".join(ts.ends)
    print(f"{ts.id} {(ts.energy - zero) / KJ_PER_MOL:.1f} kJ/mol, {between}")
asked = reference_gradients(gradients)
print(f"{asked} gradients of GFN2-xTB, {sum(gradients.values()) - asked} of GFN1-xTB")
