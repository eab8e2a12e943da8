"""Whether what runs have stored is what it is said to be.

Of every EQ and TS of run files, the number of negative eigenvalues of a Hessian by plain central
differences (0.005 Å, all 3n directions, nothing of the searches' own); of every TS, whether a side
of its stored path comes back through the dividing plane of its top; and, of every `--every`th TS,
whether its ends are those of a fine integration.

    python benchmarks/recheck.py glycine.db butadiene.db --every 4 --markdown
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from irc_ends import Case, integrate, settled
from irc_orientations import CONCAVE, crosses
from table import print_table

from afir.geometry.superposition import superpose
from afir.hessians.modes import Vector, vibrations
from afir.molecule import Molecule, Positions
from afir.pes.loading import load_surface
from afir.pes.surface import Surface
from afir.units import WAVENUMBER
from networks import open_run
from networks.graph.network import ReactionNetwork
from networks.records.structures import DC, TS

STEP = 0.005  # Å
NEAR = 1.5  # Å·amu^½ from the top
COLUMNS = (
    "run",
    "EQs",
    f"modes below {CONCAVE[0]:g}",
    f"below {CONCAVE[1]:g}",
    "TSs",
    "not of first order",
    "paths that come back",
    "integrated",
    "right",
)


def modes(molecule: Molecule, surface: Surface, x: Positions) -> Vector:
    """Wavenumbers (m,) in cm⁻¹, ascending, imaginary ones negative."""
    shifts = STEP * np.eye(x.size).reshape(-1, *x.shape)
    asked = surface.evaluate(np.concatenate([x + shifts, x - shifts]))
    there, back = asked.gradients.reshape(2, x.size, x.size)
    second = (there - back) / (2.0 * STEP)
    values, _ = vibrations((second + second.T) / 2.0, x, np.sqrt(molecule.masses))
    return np.asarray(WAVENUMBER * np.sign(values) * np.sqrt(np.abs(values)))


def comes_back(molecule: Molecule, ts: TS) -> bool:
    """Whether a side of the stored path comes back through the dividing plane of its top.

    Only near the top: a path that turns a fragment right round may cross the plane far away.
    """
    root = np.repeat(np.sqrt(molecule.masses), 3)
    top = int(np.argmax(ts.irc_energies))
    away = [(superpose(ts.positions, x) - ts.positions).ravel() * root for x in ts.irc_positions]
    near = [float(np.linalg.norm(x)) < NEAR for x in away]
    sides = (
        ts.irc_positions[:top][near[:top]],
        ts.irc_positions[top + 1 :][near[top + 1 :]],
    )
    return not any(
        not any(
            crosses(side, ts.positions, sign * way * ts.mode.ravel() * root, root)
            for sign, side in zip((-1.0, 1.0), sides, strict=True)
        )
        for way in (-1.0, 1.0)
    )


def right(network: ReactionNetwork, surface: Surface, ts: TS) -> bool:
    """Whether the ends of a TS are those that a fine integration of its path reaches."""
    truth = integrate(Case(ts.id, network.molecule, ts.positions))
    ends = []
    for id, x in zip(ts.ends, (ts.irc_positions[0], ts.irc_positions[-1]), strict=True):
        node = network.dcs[id] if id.startswith("DC") else network.eqs[id]
        ends.append(settled(surface, x if isinstance(node, DC) else node.positions))
    return truth.right(network.molecule, ends)


def checked(path: Path, every: int) -> list[str]:
    """The row of a run."""
    with open_run(path) as run:
        network, (name, given) = run.load_network(), run.settings.reported
    if every and (name, dict(given)) != ("gfn2", {}):
        raise SystemExit(f"{path}: only paths on plain gfn2 are integrated; leave out --every")
    molecule = network.molecule
    surface = load_surface(name, molecule, **given)
    eqs, tss = list(network.eqs.values()), list(network.tss.values())
    softest = [modes(molecule, surface, eq.positions)[0] for eq in eqs]
    second = [modes(molecule, surface, ts.positions)[:2] for ts in tss]
    wrong = [
        ts.id
        for ts, pair in zip(tss, second, strict=True)
        if pair[0] >= 0.0 or pair[1:].min(initial=0.0) < CONCAVE[1]
    ]
    back = [ts.id for ts in tss if comes_back(molecule, ts)]
    chosen = tss[::every] if every else []
    agreeing = [ts.id for ts in chosen if right(network, surface, ts)]
    for words, ids in (
        ("is not of first order", wrong),
        ("has a path that comes back", back),
        ("ends elsewhere", [ts.id for ts in chosen if ts.id not in agreeing]),
    ):
        for id in ids:
            print(f"{path.stem}: {id} {words}", flush=True)
    return [
        path.stem,
        str(len(eqs)),
        *(str(sum(value < limit for value in softest)) for limit in CONCAVE),
        str(len(tss)),
        str(len(wrong)),
        str(len(back)),
        str(len(chosen)),
        str(len(agreeing)),
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--every", type=int, default=0, help="integrate every so many; 0 is none")
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args(arguments)
    rows = [checked(path, options.every) for path in options.runs]
    print_table(COLUMNS, rows, markdown=options.markdown)


if __name__ == "__main__":
    main()
