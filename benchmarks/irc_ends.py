"""Where the reaction paths of known transition states end: integrated finely, by other means.

The steepest descent in mass-weighted coordinates is integrated as the gradient flow dq/dt = −g,
which runs along the same curve as dq/ds = −g/|g|, by SciPy's implicit BDF with exact Hessians as
Jacobians, down to a hundredth of the gradient at which a search calls a minimum converged. It
shares nothing with `afir.searches.irc` but the Hessian by differences, and costs thousands of
gradients a path. Each path is integrated from the transition state as it is and from four places
a little beside it: where those part, its ends are a matter of luck, and every one of them counts.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from counted import CountedSurface, Meter
from scipy.integrate import BDF

from afir.errors import AfirError
from afir.geometry.bonds import components, dissociated
from afir.geometry.superposition import internal_motions, rigid_motions, rigid_step
from afir.hessians.modes import Vector, vibrations
from afir.hessians.steps import longest
from afir.molecule import Molecule, Positions
from afir.pes.driver import solve
from afir.pes.loading import load_surface
from afir.pes.surface import Surface
from afir.searches.hessian import STEP, hessian
from afir.stationary import StationaryPoint
from afir.units import BOHR, HARTREE, HARTREE_PER_BOHR, KJ_PER_MOL, WAVENUMBER
from networks.graph.identity import same_structure

HERE = Path(__file__).parent
ENDS = HERE / "irc_ends.json"
DATA = HERE.parent / "tests" / "data"

SAME = 0.5 * KJ_PER_MOL  # eV: ends of one kind are no further apart
APART = 4.0  # Å between fragments: as the searches have it
ACCURACY = 1e-5  # Å·amu^½: local errors of the integration
FIRST = 0.02 * BOHR  # Å·amu^½: how far from the transition state it begins
FLAT = 1e-5 * HARTREE_PER_BOHR  # eV/Å: where the flow has arrived, a fifth of a search's limit
FALLEN = 0.01  # eV: the flow has left the transition state
SLID = 0.01  # eV: a path that ends this far off a fresh density has slid to another solution
TIGHT = 5e-7 * HARTREE_PER_BOHR  # eV/Å: the end
NEWTON_STEPS = 200
ASIDE = 0.05  # Å: off a saddle point that the flow ran into
BESIDE = 0.002  # Å: how far beside the path the others begin, root mean square of an atom
OTHERS = 2
MOST = 600  # steps after which the flow has arrived five times earlier
SADDLES = 2  # saddle points in a row that the flow is brought over
EDGES, OVER, ACROSS = 30, 10, 0.1  # jumps of the gradient; plain steps over each, in Å·amu^½


@dataclass(frozen=True)
class Case:
    """A transition state."""

    name: str
    molecule: Molecule
    positions: Positions


@dataclass(frozen=True)
class End:
    """Where one side of a path may end; energy in eV, positions (n, 3) in Å."""

    energy: float
    positions: Positions
    dissociated: bool


@dataclass(frozen=True)
class Truth:
    """The ends of one transition state.

    Attributes
    ----------
    sides
        For each side every end that a path from close by reaches, that of the path first.
    ridge
        For each side the most concave curvature across the path, in cm⁻¹ (imaginary wavenumbers
        as negative numbers).
    gradients
        What the integrations cost.
    """

    sides: tuple[tuple[End, ...], tuple[End, ...]]
    ridge: tuple[float, float]
    gradients: int

    def right(self, molecule: Molecule, ends: Sequence[End]) -> bool:
        """Whether two ends are those of the path, in either order."""
        return any(
            all(
                any(same_end(molecule, end, known) for known in side)
                for end, side in zip(ends, sides, strict=True)
            )
            for sides in (self.sides, self.sides[::-1])
        )


def cases() -> list[Case]:
    """The 36 reference transition states, two soft ones, and that from hydroxymethylene."""
    known = json.loads((DATA / "ts_reference.json").read_text())["cases"]
    known |= json.loads((DATA / "soft_ts.json").read_text())["cases"]
    result = [
        Case(
            name,
            Molecule(tuple(case["numbers"]), case["charge"], case["multiplicity"]),
            np.array(case["saddle"]),
        )
        for name, case in known.items()
    ]
    points = json.loads((DATA / "gfn2_stationary_points.json").read_text())["H2CO"]
    lowest = min(point["energy_hartree"] for point in points["EQ"])
    wanted = lowest + 384.81 * KJ_PER_MOL / HARTREE
    nearest = min(points["TS"], key=lambda point: abs(point["energy_hartree"] - wanted))
    molecule = Molecule(tuple(points["numbers"]))
    return [*result, Case("hcoh", molecule, np.array(nearest["positions"]))]


def same_end(molecule: Molecule, first: End, second: End) -> bool:
    """Whether two ends are one structure, whatever the order of like atoms.

    Fragments that went apart have no structure in common but their energy.
    """
    if abs(first.energy - second.energy) > SAME:
        return False
    if first.dissociated or second.dissociated:
        return first.dissociated and second.dissociated
    # How well the minimisations converged is not asked for: their energies have been compared.
    return same_structure(
        molecule, (first.positions, second.energy), (second.positions, second.energy)
    )


def load() -> dict[str, Truth]:
    """The stored ends by the name of the case."""

    def end(item: dict[str, Any]) -> End:
        return End(item["energy"] * HARTREE, np.array(item["positions"]), item["dissociated"])

    def side(items: list[dict[str, Any]]) -> tuple[End, ...]:
        return tuple(map(end, items))

    stored = json.loads(ENDS.read_text())["cases"]
    return {
        name: Truth(
            (side(item["sides"][0]), side(item["sides"][1])),
            (item["ridge_cm1"][0], item["ridge_cm1"][1]),
            item["gradients"],
        )
        for name, item in stored.items()
    }


def store(truths: dict[str, Truth]) -> None:
    """Write the ends of all cases."""

    def end(item: End) -> dict[str, Any]:
        return {
            "energy": round(item.energy / HARTREE, 9),
            "dissociated": item.dissociated,
            "positions": np.round(item.positions, 5).tolist(),
        }

    lines = [
        f' "{name}": '
        + json.dumps(
            {
                "gradients": truth.gradients,
                "ridge_cm1": [round(value, 1) for value in truth.ridge],
                "sides": [[end(item) for item in side] for side in truth.sides],
            }
        )
        for name, truth in truths.items()
    ]
    about = (
        "Ends of the reaction paths on GFN2-xTB (hartree, Å), integrated finely by"
        " `python benchmarks/ircs.py --make-reference`; see irc_ends.py"
    )
    text = f'{{"about": {json.dumps(about)}, "cases": {{\n' + ",\n".join(lines) + "\n}}\n"
    ENDS.write_text(text, encoding="utf-8")


class _Flow:
    """The gradient flow of one side, which counts what it asks for."""

    def __init__(self, molecule: Molecule, top: float, *, carried: bool) -> None:
        self.molecule = molecule
        self.surface = load_surface("gfn2", molecule)
        self.root = np.repeat(np.sqrt(molecule.masses), 3)
        self.owner = self if carried else None
        self.gradients = 0
        self.ridge = np.inf
        self.top = top

    def positions(self, q: Vector) -> Positions:
        x: Positions = (q / self.root).reshape(-1, 3)
        return x

    def ask(self, x: Positions) -> tuple[float, Positions]:
        """Energy and gradient; a carried density goes on from that of the last place."""
        self.gradients += 1
        answer = self.surface.evaluate(x[None], self.owner and [self.owner])
        for error in answer.failures.values():
            raise error
        return float(answer.energies[0]), answer.gradients[0]

    def slope(self, _: float, q: Vector) -> Vector:
        result: Vector = -self.ask(self.positions(q))[1].ravel() / self.root
        return result

    def modes(self, x: Positions) -> StationaryPoint:
        """The exact Hessian and its modes."""
        spent: Counter[str] = Counter()
        point = solve(hessian(self.molecule, x), self.surface, gradients=spent)
        self.gradients += spent.total()
        return point

    def jacobian(self, _: float, q: Vector) -> Vector:
        """Minus the mass-weighted Hessian, by forward differences: good enough for a Jacobian."""
        x = self.positions(q)
        internal = internal_motions(x)
        shifts = STEP * internal.T.reshape(-1, *x.shape)
        batch = np.concatenate([x[None], x + shifts])
        self.gradients += len(batch)
        answer = self.surface.evaluate(batch, self.owner and [self.owner] * len(batch))
        for error in answer.failures.values():
            raise error
        gradients = answer.gradients.reshape(len(batch), -1)
        columns = (gradients[1:] - gradients[0]) / STEP
        block = columns @ internal
        matrix = internal @ (0.5 * (block + block.T)) @ internal.T
        weighted = matrix / self.root[:, None] / self.root
        if answer.energies[0] < self.top - FALLEN:
            rigid = rigid_motions(x, self.root[::3])
            both = np.column_stack([rigid, gradients[0] / self.root])
            across = np.linalg.qr(both, mode="complete")[0][:, both.shape[1] :]
            self.ridge = min(self.ridge, np.linalg.eigvalsh(across.T @ weighted @ across)[0])
        result: Vector = -weighted
        return result

    def flow(self, start: Positions, slowly: float) -> tuple[Positions, bool]:
        """Where the flow comes to rest, and whether its fragments went apart on the way.

        An implicit method with long steps is drawn back to where it came from, so its steps
        in time are no longer than `slowly` until the flow has left. Where two solutions of the
        SCF cross the gradient jumps; plain short steps downhill lead over that edge.
        """
        x, steps = start, 0
        for _ in range(EDGES):
            q = x.ravel() * self.root
            solver = BDF(
                self.slope,
                0.0,
                q,
                1e12,
                rtol=1e-12,
                atol=ACCURACY,
                jac=self.jacobian,
                max_step=slowly,
            )
            while solver.status == "running":
                solver.step()
                steps += 1
                x = self.positions(solver.y)
                energy, gradient = self.ask(x)
                if dissociated(self.molecule, x, APART):
                    return x, True
                if energy < self.top - FALLEN:
                    solver.max_step = np.inf
                    if np.abs(gradient).max() < (FLAT if steps < MOST else 5.0 * FLAT):
                        return x, False
                if steps > 2 * MOST:
                    raise RuntimeError(f"not arrived: max|g| {np.abs(gradient).max():.1e} eV/Å")
            for _ in range(OVER):
                slope = self.slope(0.0, x.ravel() * self.root)
                x = x + self.positions(ACROSS / OVER * slope / np.linalg.norm(slope))
        raise RuntimeError("the gradient is not continuous")

    def down(self, start: Positions, slowly: float, saddles: int = 0) -> list[End]:
        """The end, or ends, of the flow from a place below the transition state."""
        x, apart = self.flow(start, slowly)
        if apart:
            return [End(self.ask(x)[0], x, True)]
        point = self.modes(x)
        if point.order == 0 or saddles == SADDLES:
            return [self.bottom(x)]
        self.ridge = min(self.ridge, -((float(point.wavenumbers[0]) / WAVENUMBER) ** 2))
        sides = [x + sign * ASIDE * point.mode for sign in (-1, 1)]
        return [end for side in sides for end in self.down(side, slowly, saddles + 1)]

    def bottom(self, x: Positions) -> End:
        """The minimum below, from a fresh density."""
        arrived = self.ask(x)[0]
        fresh = float(self.surface.evaluate(x[None]).energies[0])
        if abs(arrived - fresh) > SLID:
            raise RuntimeError("the path had slid to another solution of the SCF")
        counted = Meter()
        end = refined(CountedSurface(self.surface, counted), x)
        self.gradients += 1 + counted.gradients
        return end


def refined(surface: Surface, x: Positions) -> End:
    """The minimum next to a place that is nearly one, by Newton steps with exact Hessians.

    A step turns loose fragments instead of stretching them, and is halved until it falls: on flat
    places the model reaches further than it is true.
    """
    energy, gradient = _asked(surface, x)
    for _ in range(NEWTON_STEPS):
        if np.abs(gradient).max() < TIGHT:
            break
        values, vectors = vibrations(solve(hessian(surface.molecule, x), surface).hessian, x)
        step = -(vectors @ (vectors.T @ gradient.ravel() / np.maximum(np.abs(values), 1e-3)))
        step *= min(1.0, 0.05 / longest(step))
        for _ in range(12):
            there = rigid_step(x, step.reshape(x.shape), components(surface.molecule, x))
            new_energy, new_gradient = _asked(surface, there)
            # Close to the minimum the energy says nothing any more, the gradient does.
            if new_energy < energy - 1e-7 or np.abs(new_gradient).max() < np.abs(gradient).max():
                break
            step *= 0.5
        else:
            break
        x, energy, gradient = there, new_energy, new_gradient
    return End(energy, x, False)


def _asked(surface: Surface, x: Positions) -> tuple[float, Positions]:
    """Energy and gradient, each from a fresh density."""
    answer = surface.evaluate(x[None])
    for error in answer.failures.values():
        raise error
    return float(answer.energies[0]), answer.gradients[0]


def settled(surface: Surface, x: Positions) -> End:
    """An end as a search left it, ready to be compared.

    A search's limit leaves floppy structures visibly beside their minimum, so the structure is
    refined first. One that falls further than ends may differ was no minimum and stays as it is.
    """
    energy = float(surface.evaluate(x[None]).energies[0])
    if dissociated(surface.molecule, x, APART):
        return End(energy, x, True)
    end = refined(surface, x)
    return end if abs(end.energy - energy) < SAME else End(energy, x, False)


def integrate(case: Case) -> Truth:
    """Both sides of a transition state, from its place and from some beside it."""
    molecule, start = case.molecule, case.positions
    spent: Counter[str] = Counter()
    point = solve(hessian(molecule, start), load_surface("gfn2", molecule), gradients=spent)
    root = np.repeat(np.sqrt(molecule.masses), 3)
    mode = point.mode.ravel() * root
    shift = (FIRST * mode / np.linalg.norm(mode) / root).reshape(start.shape)
    slowly = 0.3 * (WAVENUMBER / point.wavenumbers[0]) ** 2
    rng = np.random.default_rng(7)
    sides, ridges, gradients = [], [], spent.total()
    for sign in (-1, 1):
        ends: list[End] = []
        ridge = np.inf
        for number in range(1 + OTHERS):
            beside = rng.normal(scale=BESIDE / np.sqrt(3.0), size=start.shape)
            for carried in (True, False):
                flow = _Flow(molecule, point.energy, carried=carried)
                try:
                    found = flow.down(start + sign * shift + (beside if number else 0.0), slowly)
                except (AfirError, RuntimeError) as error:
                    words = f"{'carried' if carried else 'fresh'} densities: {error}"
                    print(f"  {case.name}, side {sign:+d}, start {number}, {words}", flush=True)
                    found = []
                gradients += flow.gradients
                if found:
                    break
            if number == 0:
                ridge = flow.ridge
            for end in found:
                if not any(same_end(molecule, end, known) for known in ends):
                    ends.append(end)
        sides.append(tuple(ends))
        ridges.append(float(WAVENUMBER * np.sign(ridge) * np.sqrt(abs(ridge))))
    return Truth((sides[0], sides[1]), (ridges[0], ridges[1]), gradients)
