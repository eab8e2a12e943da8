"""What a push costs, stage by stage, and what its path is worth.

The first pushes of a few structures of about ten atoms, as an exploration does them: push,
minimum behind it, relaxed path, saddle searches from all its peaks. Every saddle point is
verified by an exact Hessian, which is not counted.

    python benchmarks/paths.py --markdown
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from starts import first_pushes, start
from table import print_table

from afir.errors import AfirError
from afir.methods.pushes import Push
from afir.methods.sc_afir import try_push
from afir.molecule import Molecule, Positions
from afir.pes.driver import Asked, Request, relayed, solve
from afir.pes.loading import load_surface
from afir.pes.surface import Surface
from afir.searches.hessian import hessian
from afir.searches.settings import StepSettings
from afir.stationary import Candidate, StationaryPoint, TrialResult
from afir.units import KJ_PER_MOL
from networks.graph.identity import same_structure

NAMES = ("butadiene", "cyclobutene", "fluoroethane", "hydroxyacetone")


@dataclass
class Climb:
    """One saddle search of a trial.

    Attributes
    ----------
    asked
        The geometries it asked for, the guess first.
    candidate
        What it found.
    height
        The guess above the saddle point in kJ/mol, if that was verified.
    """

    asked: list[Positions] = field(default_factory=list)
    candidate: Candidate | None = None
    height: float | None = None


@dataclass
class Trial:
    """One push: gradients by stage, its saddle searches, and what came of it."""

    gradients: Counter[str]
    climbs: list[Climb]
    result: TrialResult
    verified: bool = False


def trial(
    molecule: Molecule,
    point: StationaryPoint,
    surface: Surface,
    listed: tuple[Push, np.random.Generator],
    settings: StepSettings,
) -> Trial | None:
    """One push, watched; None when the surface fails at once."""
    climbs: dict[int, Climb] = {}
    owners = []  # kept, so that no two have one id
    gradients: Counter[str] = Counter()

    def watch(asked: Asked) -> Asked:
        assert isinstance(asked, Request)
        if asked.stage == "saddle":
            owners.append(asked.owner)
            climbs.setdefault(id(asked.owner), Climb()).asked.extend(asked.positions)
        return asked

    push, rng = listed
    search = try_push(molecule, point, push, settings, rng=rng)
    try:
        result = solve(relayed(search, watch), surface, gradients=gradients)
    except AfirError:
        return None
    for candidate in result.candidates:
        for climb in climbs.values():
            if climb.candidate is None and any(
                np.array_equal(x, candidate.positions) for x in climb.asked
            ):
                climb.candidate = candidate
                break
    return Trial(gradients, list(climbs.values()), result)


class Saddles:
    """The distinct transition states of one molecule."""

    def __init__(self, molecule: Molecule, surface: Surface) -> None:
        self._molecule = molecule
        self._surface = surface
        self._known: list[tuple[Positions, float, bool]] = []

    def verified(self, candidate: Candidate) -> bool:
        """Whether it is a transition state; one that is known is not verified again."""
        here = candidate.positions, candidate.energy
        for positions, energy, good in self._known:
            if same_structure(self._molecule, here, (positions, energy)):
                return good
        settings = StepSettings()
        try:
            point = solve(hessian(self._molecule, candidate.positions), self._surface)
            good = bool(
                point.order == 1
                and point.gradient_max < 2.0 * settings.saddle_gradient
                and -point.wavenumbers[0] > settings.softest_imaginary
            )
        except AfirError:
            good = False
        self._known.append((*here, good))
        return good

    @property
    def count(self) -> int:
        """How many distinct transition states were verified."""
        return sum(good for _, _, good in self._known)


def measure(name: str, count: int, settings: StepSettings, seed: int) -> tuple[list[Trial], int]:
    """All trials of one structure, and the number of distinct transition states."""
    molecule, point = start(name)
    surface = load_surface("gfn2", molecule)
    saddles = Saddles(molecule, surface)
    trials = []
    for listed in first_pushes(molecule, point, count, seed):
        made = trial(molecule, point, surface, listed, settings)
        if made is None:
            continue
        for climb in made.climbs:
            if climb.candidate is not None and saddles.verified(climb.candidate):
                made.verified = True
                guess = surface.evaluate(climb.asked[0][None])
                climb.height = (guess.energies[0] - climb.candidate.energy) / KJ_PER_MOL
        trials.append(made)
    return trials, saddles.count


def spread(values: Sequence[float]) -> str:
    """Median, mean and 90 % quantile."""
    if not values:
        return ""
    return f"{np.median(values):.0f} / {np.mean(values):.0f} / {np.quantile(values, 0.9):.0f}"


def cost_row(name: str, trials: Sequence[Trial]) -> tuple[str, ...]:
    """Gradients of the pushes that crossed."""
    crossed = [item for item in trials if item.result.crossed]

    def of(*stages: str) -> str:
        return spread([sum(item.gradients[stage] for stage in stages) for item in crossed])

    return (
        name,
        f"{len(crossed)} / {len(trials)}",
        of("push"),
        of("minimum"),
        of("path"),
        of("push", "path"),
        of("push", "minimum", "path"),
        of("saddle"),
    )


def worth_row(name: str, trials: Sequence[Trial], distinct: int) -> tuple[str, ...]:
    """What came of them."""
    crossed = [item for item in trials if item.result.crossed]
    climbs = [climb for item in crossed for climb in item.climbs]
    from_path = [
        climb
        for climb in climbs
        if climb.height is not None and climb.candidate is not None
        if climb.candidate.source == "path"
    ]
    failed = [len(climb.asked) for climb in climbs if climb.height is None]
    total = sum(sum(item.gradients.values()) for item in trials)
    return (
        name,
        f"{sum(item.verified for item in crossed)} / {len(crossed)}",
        f"{sum(item.verified for item in trials)} / {len(trials)}",
        str(len(climbs)),
        str(len(from_path)),
        spread([climb.height for climb in from_path if climb.height is not None]),
        spread([len(climb.asked) for climb in from_path]),
        f"{len(failed)} ({sum(failed)})",
        str(distinct),
        f"{total / max(distinct, 1):.0f}",
    )


def main() -> None:
    """Measure and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--starts", default=",".join(NAMES), help="names with commas between them")
    parser.add_argument("--pushes", type=int, default=40, help="how many of each structure")
    parser.add_argument(
        "--step", default="", help="settings of a step that differ, e.g. path_rounds=2,gamma=500"
    )
    parser.add_argument("--surrogate", action="store_true", help="paths on a Gaussian process")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    pairs = (item.partition("=") for item in options.step.split(",") if item)
    values = {key: type(getattr(StepSettings(), key))(value) for key, _, value in pairs}
    settings = StepSettings(surrogate=options.surrogate, **values)
    found = [
        (name, *measure(name, options.pushes, settings, options.seed))
        for name in options.starts.split(",")
    ]
    print_table(
        (
            "start",
            "crossed",
            "push",
            "minimum",
            "path",
            "push + path",
            "all three",
            "saddle",
        ),
        [cost_row(name, trials) for name, trials, _ in found],
        markdown=options.markdown,
    )
    print()
    print_table(
        (
            "start",
            "crossed with TS",
            "all with TS",
            "climbs",
            "TS from peaks",
            "peak above TS, kJ/mol",
            "gradients of a climb",
            "failed (gradients)",
            "distinct TS",
            "gradients / TS",
        ),
        [worth_row(*item) for item in found],
        markdown=options.markdown,
    )


if __name__ == "__main__":
    main()
