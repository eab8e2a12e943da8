"""Explore the reaction paths of formaldehyde from Python.

Takes a few seconds: the run stops after eight trials. Without ``max_trials`` it continues until
nothing is left to try. The run file can be shown with ``afir show 01.db`` and continued with
``afir resume 01.db --max-trials none``.
"""

from pathlib import Path

from afir import KJ_PER_MOL, read_structure
from networks import Found, Settings, explore, open_run

molecule, start = read_structure(Path(__file__).with_name("h2co.xyz"))
run = Path("01.db")
run.unlink(missing_ok=True)  # left by an earlier run of this example

for event in explore(molecule, start, Settings(seed=7, max_trials=8), run, workers=2):
    if isinstance(event, Found):
        where = "at the start" if event.trial is None else f"in trial {event.trial}"
        print(f"found {event.record.id} {where}")

network = open_run(run).load_network()
zero = network.lowest.energy
for ts in network.tss.values():
    first, second = ts.ends
    height = (ts.energy - zero) / KJ_PER_MOL
    print(f"{ts.id}: {first} to {second}, {height:.1f} kJ/mol, {ts.imaginary_cm1:.0f}i cm⁻¹")
