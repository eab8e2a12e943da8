"""The contract of every surface, as a check for any implementation.

A test of a new surface is one line::

    check_surface(load_surface("mine", molecule), positions, rng=np.random.default_rng(0))
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from afir.errors import AfirError, BrokenSurfaceError, InputError
from afir.molecule import Molecule, Positions
from afir.pes.surface import Evaluation, Surface, traits_of
from afir.units import BOHR, HARTREE

STEP = 1e-3
"""Å, the step of the finite differences. Their error, a sixth of its square times a third
derivative of some 100 eV/Å³, is far below the tolerance."""

# The factor of a wrong unit or sign in an otherwise correct gradient.
_SLIPS = {
    -1.0: "minus the derivative, so forces were returned",
    1.0 / HARTREE: "the derivative in hartree/Å",
    BOHR / HARTREE: "the derivative in hartree/bohr",
    BOHR: "the derivative in eV/bohr",
    -BOHR / HARTREE: "minus the derivative in hartree/bohr",
}


class ContractError(AfirError):
    """A surface breaks its contract.

    Attributes
    ----------
    problems
        One sentence for each violation.
    """

    def __init__(self, problems: tuple[str, ...]) -> None:
        self.problems = problems
        super().__init__("the surface breaks its contract:\n- " + "\n- ".join(problems))


@dataclass(frozen=True)
class Report:
    """The largest deviations of a surface that passed `check_surface`.

    Attributes
    ----------
    gradient
        Gradient against central differences of the energy, in eV/Å.
    path_gradient
        The same for the surface's `for_paths`, in eV/Å.
    motion
        Energy change under translation, rotation and exchange of like atoms, in eV.
    batch
        Energy difference between a geometry alone and in a batch, in eV.
    memory
        Energy difference between a geometry with and without an owner, in eV.
    drift
        Energy difference between the first and the last answer for a geometry, in eV.
    """

    gradient: float
    path_gradient: float
    motion: float
    batch: float
    memory: float
    drift: float


def check_surface(
    surface: Surface,
    positions: Positions,
    *,
    rng: np.random.Generator,
    rigid: bool = True,
    energy_tolerance: float = 1e-6,
    gradient_tolerance: float = 1e-3,
) -> Report:
    """Check that a surface keeps the contract of `afir.pes.surface.Surface`.

    Checked are traits, shapes and types, unchanged inputs, energies that change as atoms move,
    gradients that are their derivative, invariance, batches that equal single geometries, failures
    that affect no other geometry, a memory that is held weakly and does not change energies, and
    the same results at the end as at the beginning. About (12·n + 40)·k geometries are evaluated.

    Parameters
    ----------
    surface
        The surface.
    positions
        (k, n, 3) geometries in Å, or one (n, 3), on which the surface must not fail. Displaced
        ones that are not stationary points check more.
    rng
        Draws the motions, permutations and displacements.
    rigid
        Whether the energy must not change when the molecule moves or turns as a whole; False for
        a surface in an external field.
    energy_tolerance
        Largest deviation of an energy in eV.
    gradient_tolerance
        Largest deviation of a gradient component in eV/Å, beside 1e-4 of the largest component.

    Returns
    -------
    Report
        The largest deviations seen.

    Raises
    ------
    ContractError
        If the surface breaks its contract; the message lists all violations.
    InputError
        If `positions` does not have the shape of the surface's molecule.
    """
    geometries = _batch(surface.molecule, positions)
    check = _Check(surface, geometries, rng, energy_tolerance, gradient_tolerance)
    check.run_all(rigid)
    if check.problems:
        raise ContractError(tuple(check.problems))
    return Report(**{field.name: check.deviations[field.name] for field in fields(Report)})


def _batch(molecule: Molecule, positions: Positions) -> Positions:
    """The geometries as (k, n, 3); InputError if they are not that, nor one (n, 3)."""
    geometries = np.array(positions, dtype=np.float64)
    if geometries.ndim == 2:
        geometries = geometries[None]
    if geometries.ndim != 3 or geometries.shape[1:] != (molecule.n_atoms, 3) or not len(geometries):
        raise InputError(
            f"`positions` must have the shape (k, {molecule.n_atoms}, 3) with k of 1 or more, "
            f"got {np.shape(positions)}"
        )
    return geometries


class _Owner:
    """An owner of geometries that can be referenced weakly."""


class _Check:
    """One run of the checks: their shared data, the problems and deviations found."""

    def __init__(
        self,
        surface: Surface,
        geometries: Positions,
        rng: np.random.Generator,
        energy_tolerance: float,
        gradient_tolerance: float,
    ) -> None:
        self.surface = surface
        self.molecule: Molecule = surface.molecule
        self.geometries = geometries
        self.rng = rng
        self.energy_tolerance = energy_tolerance
        self.gradient_tolerance = gradient_tolerance
        self.problems: list[str] = []
        self.deviations: dict[str, float] = {}
        self.alone: Evaluation

    def run_all(self, rigid: bool) -> None:
        """Run every check; the others mean nothing if shapes are wrong or plain geometries fail."""
        self.run("traits", self.traits)
        self.run("answers", self.answers)
        if self.problems:
            return
        self.run("gradient", self.gradient)
        self.run("path_gradient", self.path_gradient)
        self.run("motion", lambda: self.motion(rigid))
        self.run("batch", self.batch)
        self.run("failures", self.failures)
        self.run("memory", self.memory)
        self.run("drift", self.drift)

    def run(self, name: str, check: Callable[[], Iterator[str]]) -> None:
        """Collect the problems of one check; an exception is one of them."""
        self.deviations[name] = 0.0
        try:
            self.problems.extend(check())
        # The code under test is foreign: any exception is a finding.
        except Exception as error:
            self.problems.append(
                f"an exception came out while checking {name}: {type(error).__name__}: {error}"
            )

    def traits(self) -> Iterator[str]:
        """What the surface says of itself can be understood."""
        try:
            traits_of(self.surface)
        except BrokenSurfaceError as error:
            yield str(error)

    def answers(self) -> Iterator[str]:
        """Shapes, types, finite numbers; the input and earlier answers left alone."""
        asked = self.geometries.copy()
        self.alone = self.surface.evaluate(asked)
        if not np.array_equal(asked, self.geometries):
            yield "`evaluate` changed the positions it was given"
        count = len(asked)
        yield from _shape_problems(self.alone, asked)
        empty = self.surface.evaluate(np.empty((0, self.molecule.n_atoms, 3)))
        for problem in _shape_problems(empty, np.empty((0, self.molecule.n_atoms, 3))):
            yield f"for an empty batch: {problem}"
        for index in range(count):
            if index in self.alone.failures:
                yield f"geometry {index} failed: {self.alone.failures[index]}"
            elif not (
                np.isfinite(self.alone.energies[index])
                and np.isfinite(self.alone.gradients[index]).all()
            ):
                yield f"geometry {index} has numbers that are not finite and is not in `failures`"
        kept = self.alone.energies.copy(), self.alone.gradients.copy()
        self.surface.evaluate(self._displaced(0.05))
        if not (
            np.array_equal(kept[0], self.alone.energies, equal_nan=True)
            and np.array_equal(kept[1], self.alone.gradients, equal_nan=True)
        ):
            yield "a later call changed the arrays an earlier one returned"

    def gradient(self) -> Iterator[str]:
        """The gradient is the derivative of the energy."""
        yield from self._derivative(self.surface, "gradient")

    def path_gradient(self) -> Iterator[str]:
        """The surface for paths is a surface of the same molecule with gradients of its own."""
        paths = self.surface.for_paths()
        if paths.molecule != self.molecule:
            yield f"`for_paths` must keep the molecule, got {paths.molecule}"
            return
        answer = paths.evaluate(self.geometries.copy())
        problems = list(_shape_problems(answer, self.geometries))
        yield from (f"for paths: {problem}" for problem in problems)
        if not problems:
            for problem in self._derivative(paths, "path_gradient"):
                yield f"for paths: {problem}"

    def motion(self, rigid: bool) -> Iterator[str]:
        """Moving, turning and exchanging like atoms change nothing but the frame."""
        motions: list[tuple[str, NDArray[np.float64], NDArray[np.float64]]] = []
        if rigid:
            shift = self.rng.uniform(-5.0, 5.0, 3)
            motions.append(("translation", np.eye(3), shift))
            turn = Rotation.from_quat(self.rng.normal(size=4)).as_matrix()
            motions.append(("rotation", turn, np.zeros(3)))
        order = self._exchange()
        for name, turn, shift in motions:
            moved = self.surface.evaluate(self.geometries @ turn.T + shift)
            expected = self.alone.gradients @ turn.T
            yield from self._same("motion", name, moved, self.alone.energies, expected)
        exchanged = self.surface.evaluate(self.geometries[:, order])
        expected = self.alone.gradients[:, order]
        yield from self._same(
            "motion", "an exchange of like atoms", exchanged, self.alone.energies, expected
        )

    def batch(self) -> Iterator[str]:
        """A batch equals its geometries one by one, in any order."""
        batch = np.concatenate([self.geometries, self._displaced(0.05)])
        singles = [self.surface.evaluate(geometry[None].copy()) for geometry in batch]
        energies = np.concatenate([single.energies for single in singles])
        gradients = np.concatenate([single.gradients for single in singles])
        for name, order in (
            ("being in a batch", np.arange(len(batch))),
            ("the order of a batch", self.rng.permutation(len(batch))),
        ):
            answer = self.surface.evaluate(batch[order])
            yield from self._same("batch", name, answer, energies[order], gradients[order])

    def failures(self) -> Iterator[str]:
        """An impossible geometry is reported as failed, and only that one."""
        hopeless = np.full((1, self.molecule.n_atoms, 3), np.nan)
        batch = np.concatenate([self.geometries, hopeless, self.geometries])
        count = len(self.geometries)
        answer = self.surface.evaluate(batch)
        if set(answer.failures) != {count}:
            yield (
                f"a geometry of NaN at index {count} must be the only one in `failures`, "
                f"got {sorted(answer.failures)}"
            )
        elif not (np.isnan(answer.energies[count]) and np.isnan(answer.gradients[count]).all()):
            yield "a failed geometry must have a NaN energy and a NaN gradient"
        for start in (0, count + 1):
            part = slice(start, start + count)
            yield from self._same(
                "failures",
                "a failure in the same batch",
                Evaluation(answer.energies[part], answer.gradients[part]),
                self.alone.energies,
                self.alone.gradients,
            )
        collapsed = self.surface.evaluate(np.zeros_like(hopeless))
        if not (collapsed.failures or np.isfinite(collapsed.energies[0])):
            yield "with all atoms on one spot it must fail or give a finite energy, got neither"

    def memory(self) -> Iterator[str]:
        """An owner's memory changes no energy, is not shared and goes with the owner."""
        first, second = _Owner(), _Owner()
        for geometry in self.geometries:
            walk = geometry + np.linspace(0.0, 0.1, 4)[:, None, None] * self._direction()
            fresh = self.surface.evaluate(walk)
            for index, point in enumerate(walk):
                # Two searches side by side, one going back while the other goes on.
                opposite = len(walk) - 1 - index
                answer = self.surface.evaluate(np.stack([point, walk[opposite]]), [first, second])
                rows = [index, opposite]
                yield from self._same(
                    "memory", "an owner", answer, fresh.energies[rows], fresh.gradients[rows]
                )
            several = self.surface.evaluate(walk, [first] * len(walk))
            yield from self._same(
                "memory", "owning several of a batch", several, fresh.energies, fresh.gradients
            )
        forgotten = weakref.ref(first)
        del first
        gc.collect()
        if forgotten() is not None:
            yield "the surface keeps an owner alive: it must reference owners weakly"

    def drift(self) -> Iterator[str]:
        """The results at the end are those of the beginning."""
        last = self.surface.evaluate(self.geometries.copy())
        expected = self.alone.energies, self.alone.gradients
        yield from self._same("drift", "asking again in the end", last, *expected)

    def _derivative(self, surface: Surface, name: str) -> Iterator[str]:
        """Compare gradients with central differences, all 6n displacements in one batch."""
        size = self.geometries[0].size
        steps = STEP * np.eye(size).reshape(size, *self.geometries[0].shape)
        for index, geometry in enumerate(self.geometries):
            answer = surface.evaluate(geometry[None].copy())
            displaced = surface.evaluate(np.concatenate([geometry + steps, geometry - steps]))
            if answer.failures or displaced.failures:
                yield f"geometry {index} displaced by {STEP} Å failed"
                continue
            if self.molecule.n_atoms > 1 and np.ptp(displaced.energies) == 0.0:
                yield f"the energy of geometry {index} does not change when atoms move"
                continue
            numeric = (displaced.energies[:size] - displaced.energies[size:]) / (2 * STEP)
            given = answer.gradients[0].ravel()
            deviation = float(np.abs(given - numeric).max())
            self.deviations[name] = max(self.deviations[name], deviation)
            largest = float(np.abs(numeric).max())
            if not deviation <= self.gradient_tolerance + 1e-4 * largest:
                yield (
                    f"the gradient of geometry {index} differs from central differences by "
                    f"{deviation:.2g} eV/Å{_slip(given, numeric)}"
                )

    def _same(
        self,
        name: str,
        cause: str,
        answer: Evaluation,
        energies: NDArray[np.float64],
        gradients: NDArray[np.float64],
    ) -> Iterator[str]:
        """Compare an evaluation with the expected one and record the deviation."""
        if answer.energies.shape != energies.shape or answer.gradients.shape != gradients.shape:
            yield f"{cause} changes the shape of the answer"
            return
        by_energy = float(np.abs(answer.energies - energies).max())
        by_gradient = float(np.abs(answer.gradients - gradients).max())
        self.deviations[name] = max(self.deviations[name], by_energy)
        if not by_energy <= self.energy_tolerance:
            yield f"{cause} changes an energy by {by_energy:.2g} eV"
        if not by_gradient <= self.gradient_tolerance + 1e-4 * float(np.abs(gradients).max()):
            yield f"{cause} changes a gradient by {by_gradient:.2g} eV/Å"

    def _direction(self) -> NDArray[np.float64]:
        """A random displacement (n, 3) whose largest component is 1."""
        direction: NDArray[np.float64] = self.rng.normal(size=self.geometries[0].shape)
        direction /= np.abs(direction).max()
        return direction

    def _displaced(self, size: float) -> Positions:
        """The geometries, each displaced at random by up to `size` Å."""
        return np.stack([geometry + size * self._direction() for geometry in self.geometries])

    def _exchange(self) -> NDArray[np.intp]:
        """A random order of the atoms that only exchanges atoms of one element."""
        numbers = np.array(self.molecule.numbers)
        order = np.arange(len(numbers))
        for number in np.unique(numbers):
            cycle = self.rng.permutation(np.flatnonzero(numbers == number))
            order[cycle] = np.roll(cycle, 1)
        return order


def _shape_problems(answer: Evaluation, asked: Positions) -> Iterator[str]:
    """The problems with the arrays of an evaluation."""
    for name, array, shape in (
        ("energies", answer.energies, asked.shape[:1]),
        ("gradients", answer.gradients, asked.shape),
    ):
        if not isinstance(array, np.ndarray):
            yield f"`{name}` must be an array, got {type(array).__name__}"
        elif array.shape != shape:
            yield f"`{name}` must have the shape {shape}, got {array.shape}"
        elif array.dtype != np.float64:
            yield f"`{name}` must be float64, got {array.dtype}"
    if any(not 0 <= index < len(asked) for index in answer.failures):
        yield f"`failures` must name indices of the batch, got {sorted(answer.failures)}"


def _slip(given: NDArray[np.float64], numeric: NDArray[np.float64]) -> str:
    """The likely error of unit or sign, from the ratio of the two gradients."""
    ratio = float(given @ numeric) / float(numeric @ numeric or 1.0)
    for factor, name in _SLIPS.items():
        if np.abs(given - factor * numeric).max() < 0.01 * np.abs(numeric).max() * abs(factor):
            return f": it is {name}"
    return f": it is {ratio:.3g} times as long" if ratio else ""
