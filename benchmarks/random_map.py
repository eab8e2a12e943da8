"""Maps of small molecules on GFN2-xTB by random search, to measure explorations against.

No artificial force takes part. Every start is drawn at random: a cluster of atoms, or a known
minimum that is displaced, bent along one of its normal modes or mixed with another. It goes
downhill to a minimum, or uphill to a saddle point that is proven when it is new. A point counts
how many starts arrived there: what was met often shows how little is left to be met.

    OMP_NUM_THREADS=1 python benchmarks/random_map.py HONO HNCO --gradients 400000 --folder maps
    python benchmarks/random_map.py HONO HNCO --folder maps --publish

The first makes ``maps/HONO.json`` and ``maps/HNCO.json`` or goes on with them; the second puts
them into ``maps.json``.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from draws import bent, mixed, shifted
from maps import CORE, publish, summary
from numpy.typing import NDArray

from afir.errors import AfirError
from afir.geometry.bonds import components, dissociated
from afir.hessians.modes import vibrations
from afir.methods.arrangements import arrangement
from afir.molecule import Molecule, Positions
from afir.pes.driver import Search, solve
from afir.pes.loading import load_surface
from afir.searches.hessian import hessian
from afir.searches.minimum import minimise
from afir.searches.saddle import saddle
from afir.searches.settings import StepSettings
from afir.stationary import Candidate, Minimum, Outcome, StationaryPoint
from afir.units import HARTREE
from afir.verification.minima import characterise
from afir.verification.transition_states import confirm
from networks.graph.identity import IdentityIndex, fingerprint
from networks.graph.network import fragments

TUNING = {"H2O2": "HHOO", "HNCO": "HNCO", "HONO": "HNOO", "NH2OH": "HHHNO"}
HELD_OUT = {"HCOOH": "HHCOO", "H2S2": "HHSS", "CH2NH": "HHHCN", "HCOF": "HCOF"}
SYMBOLS = TUNING | HELD_OUT

# What a start is, and how often.
SHARES = {
    "cluster, down": 0.06,
    "shifted, down": 0.06,
    "cluster, up": 0.2,
    "shifted, up": 0.2,
    "bent, up": 0.3,
    "mixed, up": 0.18,
}
FAVOUR = 0.85  # how often a minimum is drawn from the core, where there is one
STORED_EVERY = 200  # starts after which a map is written
TRIES = 3  # proofs of one saddle point that may fail
APART = StepSettings().dissociation

T = TypeVar("T")


@dataclass
class Point:
    """A stationary point.

    Attributes
    ----------
    energy, positions
        eV; (n, 3) in Å.
    first, hits
        The first start that arrived, and how many did.
    wavenumber
        The lowest in cm⁻¹, negative when imaginary.
    ends
        Of a transition state: the minima at its ends by number, None for what is none.
    hessian
        (3n, 3n) in eV/Å², where it is known.
    """

    energy: float
    positions: Positions
    first: int
    hits: int
    wavenumber: float
    ends: tuple[int | None, ...] = ()
    hessian: NDArray[np.float64] | None = None


class RandomMap:
    """The map of one molecule as far as it is known."""

    def __init__(self, symbols: str, seed: int) -> None:
        self.molecule = Molecule.from_symbols(list(symbols))
        self.seed = seed
        self.starts = 0
        self.spent: Counter[str] = Counter()
        self.eqs: list[Point] = []
        self.tss: list[Point] = []
        self._surface = load_surface("gfn2", self.molecule)
        self._minima, self._saddles = IdentityIndex(self.molecule), IdentityIndex(self.molecule)
        self._refuted, self._failures = IdentityIndex(self.molecule), Counter[str]()

    def advance(self) -> None:
        """One start, wherever it leads."""
        rng = np.random.default_rng([self.seed, self.starts])
        self.starts += 1
        kinds = list(SHARES)
        kind = str(rng.choice(kinds, p=list(SHARES.values()))) if self.eqs else kinds[0]
        try:
            x, direction = self._drawn(kind, rng)
            if kind.endswith("down"):
                self._arrived(self._solved(minimise(self.molecule, x)))
            else:
                self._up(x, direction)
        except AfirError:
            return

    def _drawn(self, kind: str, rng: np.random.Generator) -> tuple[Positions, Positions | None]:
        """A geometry, and the direction it was displaced in."""
        if kind.startswith("cluster"):
            return arrangement(self.molecule, rng), None
        eq = self._some_eq(rng)
        if kind.startswith("shifted"):
            return shifted(eq.positions, rng)
        if kind.startswith("bent"):
            return bent(eq.positions, self._modes(eq), rng)
        return mixed(self.molecule, eq.positions, self._some_eq(rng).positions, rng), None

    def _some_eq(self, rng: np.random.Generator) -> Point:
        """One of the minima, mostly of the core."""
        zero = min(eq.energy for eq in self.eqs)
        core = [eq for eq in self.eqs if eq.energy < zero + CORE and self._whole(eq)]
        among = core if core and rng.random() < FAVOUR else self.eqs
        return among[rng.integers(len(among))]

    def _whole(self, point: Point) -> bool:
        return len(components(self.molecule, point.positions)) == 1

    def _solved(self, search: Search[T]) -> T:
        return solve(search, self._surface, gradients=self.spent)

    def _known(self, index: IdentityIndex, x: Positions, energy: float) -> str | None:
        return index.find(fingerprint(self.molecule, x, energy), x)

    def _arrived(self, minimum: Minimum) -> int | None:
        """Count a minimisation for its minimum, whose number it is; None if there is none."""
        if minimum.outcome is not Outcome.CONVERGED or minimum.dissociated:
            return None
        known = self._known(self._minima, minimum.positions, minimum.energy)
        if known is None:
            try:
                point = self._solved(characterise(self.molecule, minimum.positions))
            except AfirError:
                return None
            if dissociated(self.molecule, point.positions, APART):
                return None
            known = self._known(self._minima, point.positions, point.energy)
            if known is None:
                self._add(self.eqs, self._minima, self._new(point))
                return len(self.eqs) - 1
        self.eqs[int(known)].hits += 1
        return int(known)

    def _up(self, x: Positions, direction: Positions | None = None) -> None:
        """Climb to a saddle point; prove it when it is new."""
        found = self._solved(saddle(self.molecule, x, direction=direction))
        x = found.positions
        if found.outcome is not Outcome.CONVERGED or dissociated(self.molecule, x, APART):
            return
        known = self._known(self._saddles, x, found.energy)
        if known is None:
            refuted = self._known(self._refuted, x, found.energy)
            if refuted is not None and self._failures[refuted] == TRIES:
                return
            candidate = Candidate(x, found.energy, found.hessian, "random")
            proof = self._solved(confirm(self.molecule, candidate))
            if proof.outcome is not Outcome.CONFIRMED:
                if refuted is None:
                    refuted = str(len(self._refuted))
                    mark = fingerprint(self.molecule, x, found.energy)
                    self._refuted.add(refuted, mark, x)
                self._failures[refuted] += 1
                return
            known = self._known(self._saddles, proof.point.positions, proof.point.energy)
            if known is None:
                ends = tuple(map(self._arrived, proof.ends))
                self._add(self.tss, self._saddles, self._new(proof.point, ends))
                return
        self.tss[int(known)].hits += 1

    def _add(self, points: list[Point], index: IdentityIndex, point: Point) -> None:
        mark = fingerprint(self.molecule, point.positions, point.energy)
        index.add(str(len(points)), mark, point.positions)
        points.append(point)

    def _new(self, found: StationaryPoint, ends: tuple[int | None, ...] = ()) -> Point:
        """What a start has arrived at for the first time."""
        low = float(found.wavenumbers[0])
        return Point(found.energy, found.positions, self.starts, 1, low, ends, found.hessian)

    def _modes(self, eq: Point) -> NDArray[np.float64]:
        """The normal modes (3n, m) of a minimum in Cartesian coordinates, the softest first."""
        if eq.hessian is None:
            eq.hessian = self._solved(hessian(self.molecule, eq.positions)).hessian
        root = np.sqrt(self.molecule.masses)
        weighted = vibrations(eq.hessian, eq.positions, root)[1]
        modes: NDArray[np.float64] = weighted / np.repeat(root, 3)[:, None]
        return modes

    def as_json(self) -> dict[str, Any]:
        """All of it, energies in hartree."""

        def items(points: list[Point]) -> list[dict[str, Any]]:
            return [
                {
                    "energy": round(point.energy / HARTREE, 7),
                    "molecules": "+".join(fragments(self.molecule, point.positions)),
                    "hits": point.hits,
                    "first": point.first,
                    "wavenumber": round(point.wavenumber, 1),
                    "ends": list(point.ends),
                    "positions": np.round(point.positions, 6).tolist(),
                }
                for point in points
            ]

        return {
            "numbers": list(self.molecule.numbers),
            "starts": self.starts,
            "gradients": self.spent.total(),
            "eq": items(self.eqs),
            "ts": items(self.tss),
        }

    def restore(self, stored: dict[str, Any]) -> None:
        """Go on where `as_json` left off."""
        self.starts = stored["starts"]
        self.spent["before"] = stored["gradients"]
        both = ("eq", self.eqs, self._minima), ("ts", self.tss, self._saddles)
        for kind, points, index in both:
            for item in stored[kind]:
                point = Point(
                    energy=item["energy"] * HARTREE,
                    positions=np.array(item["positions"]),
                    first=item["first"],
                    hits=item["hits"],
                    wavenumber=item["wavenumber"],
                    ends=tuple(item["ends"]),
                )
                self._add(points, index, point)


def grown(path: Path, symbols: str, seed: int, gradients: int, seconds: float) -> dict[str, Any]:
    """The map in a file, after it has grown to so many gradients or for so long."""
    begin = time.monotonic()
    growing = RandomMap(symbols, seed)
    if path.exists():
        stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if stored["gradients"] >= gradients:
            return stored
        growing.restore(stored)
    going = True
    while going:
        growing.advance()
        going = growing.spent.total() < gradients and time.monotonic() - begin < seconds
        if growing.starts % STORED_EVERY == 0 or not going:
            path.write_text(json.dumps(growing.as_json()), encoding="utf-8")
    return growing.as_json()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="+", choices=list(SYMBOLS), help="which maps")
    parser.add_argument("--gradients", type=int, default=0, help="go on until so many are spent")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="or for so long, each")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, required=True, help="where the maps are")
    parser.add_argument("--publish", action="store_true", help="put them into maps.json")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for name in options.names:
        path = options.folder / f"{name}.json"
        if not options.gradients and not path.exists():
            parser.error(f"`--gradients` must be given for a new map, {path} is missing")
        mapped = grown(path, SYMBOLS[name], options.seed, options.gradients, options.seconds)
        print(f"{name}: {summary(mapped)}", flush=True)
        if options.publish:
            publish(name, "tuning" if name in TUNING else "held-out", mapped)


if __name__ == "__main__":
    main()
