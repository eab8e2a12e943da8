"""Where exploring pays: what a policy expects of molecules in which nothing was tried yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from afir.errors import AfirError
from afir.molecule import Molecule
from afir.policies import Policy
from afir.stationary import StationaryPoint
from networks.graph.network import ReactionNetwork
from networks.graph.rejected import Dismissals
from networks.policies.abilities import proposals
from networks.reporting.tables import Section
from networks.scheduling.history import History
from networks.scheduling.scheduler import CHOICE, Outlook
from networks.settings import Settings

BUDGET = 9000
"""Gradients of the searches whose finds are added up: those of a short run. Chosen."""


@dataclass(frozen=True)
class Promise:
    """What is expected of the best pushes of a molecule.

    Attributes
    ----------
    file, formula, charge, multiplicity
        The file, and the molecule in it.
    tss, gradients
        The expected number of TSs of the best pushes, as many as `BUDGET` allows, and their
        gradients. A TS counts once for each push that is expected to find it: the sum ranks
        molecules and is not the number of their TSs.
    tss_per_1000
        The same for 1,000 gradients.
    distance
        The median distance of its offers from the training (`afir.policies.Expectation.distance`).
    offers, counted
        The number of its offers, and of those that are added up.
    """

    file: str
    formula: str
    charge: int
    multiplicity: int
    tss: float
    gradients: float
    tss_per_1000: float
    distance: float
    offers: int
    counted: int

    @property
    def far(self) -> bool:
        """Whether it lies so far from the training that the numbers say little."""
        return self.distance > 1.0


def promise_of(
    file: Path, molecule: Molecule, minimum: StationaryPoint, policy: tuple[str, Policy]
) -> Promise:
    """What a policy, given with its name, expects of a minimum and its pushes.

    Raises
    ------
    AfirError
        If the policy cannot propose, or there is nothing to try.
    """
    network, settings = ReactionNetwork(molecule), Settings()
    network.add_eq(minimum)
    outlook = Outlook(settings, network, Dismissals(molecule), History())
    outlook.read()
    frontier = outlook.frontier(settings.tried.attempts)
    count = outlook.all_never_tried()
    if not count:
        raise AfirError("there is nothing to try on it")
    rng = np.random.default_rng([settings.seed, CHOICE, 1])
    told = proposals(*policy, frontier, network, count, rng)
    if not told:
        raise AfirError(f"the policy {policy[0]} expects nothing of it")
    tss, gradients, counted = 0.0, 0.0, 0
    for each in told:
        if gradients and gradients + each.gradients > BUDGET:
            break
        tss, gradients, counted = tss + each.tss, gradients + each.gradients, counted + 1
    distance = median(each.distance for each in told)
    rate = 1000.0 * tss / gradients
    state = molecule.formula, molecule.charge, molecule.multiplicity
    return Promise(str(file), *state, tss, gradients, rate, distance, count, counted)


def ranked(promises: Sequence[Promise]) -> list[Promise]:
    """The molecules, the most promising first; those far from the training after all others."""
    return sorted(promises, key=lambda each: (each.far, -each.tss_per_1000, each.file))


def promises_section(promises: Sequence[Promise]) -> Section:
    """The table of molecules, in this order."""
    rows = [
        (
            each.file,
            _name(each),
            f"{each.tss_per_1000:.2f}",
            f"{each.tss:.1f}",
            f"{each.gradients:.0f}",
            f"{each.distance:.1f}{' (far)' if each.far else ''}",
            f"{each.counted} of {each.offers}",
        )
        for each in promises
    ]
    columns = ("<file", "<molecule", "per 1000", "TSs", "grad.", "distance", "pushes")
    notes = [
        "TSs: the sum over the best pushes, as many as are counted. It counts a TS once for each "
        "push that is expected to find it: it ranks molecules and is not the number of their TSs."
    ]
    if any(each.far for each in promises):
        notes.append("far: so unlike the training of the policy that the numbers say little.")
    title = "Where exploring is expected to pay"
    return Section(title, columns, tuple(rows), tuple(notes))


def _name(promise: Promise) -> str:
    """The formula, with charge and multiplicity where they are not neutral, or not the lowest."""
    state = [f"charge {promise.charge:+d}"] if promise.charge else []
    if promise.multiplicity > 2:  # singlets and doublets are the lowest
        state.append(f"multiplicity {promise.multiplicity}")
    return f"{promise.formula} ({', '.join(state)})" if state else promise.formula


def plain_promise(promise: Promise) -> dict[str, Any]:
    """A molecule as plain JSON."""
    return asdict(promise)
