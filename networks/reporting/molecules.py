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
    file, formula
        The file, and the molecule in it.
    tss, gradients
        The expected number of TSs of the best pushes, as many as `BUDGET` allows, and their
        gradients.
    tss_per_1000
        The same for 1,000 gradients.
    distance
        The median distance of its offers from the training (`afir.policies.Expectation.distance`).
    offers
        The number of its offers.
    """

    file: str
    formula: str
    tss: float
    gradients: float
    tss_per_1000: float
    distance: float
    offers: int


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
    tss, gradients = 0.0, 0.0
    for each in told:
        if gradients and gradients + each.gradients > BUDGET:
            break
        tss, gradients = tss + each.tss, gradients + each.gradients
    distance = median(each.distance for each in told)
    rate = 1000.0 * tss / gradients
    return Promise(str(file), molecule.formula, tss, gradients, rate, distance, count)


def ranked(promises: Sequence[Promise]) -> list[Promise]:
    """The molecules, the most promising first."""
    return sorted(promises, key=lambda each: (-each.tss_per_1000, each.file))


def promises_section(promises: Sequence[Promise]) -> Section:
    """The table of molecules, in this order."""
    rows = [
        (
            each.file,
            each.formula,
            f"{each.tss_per_1000:.2f}",
            f"{each.tss:.1f}",
            f"{each.gradients:.0f}",
            f"{each.distance:.1f}",
            str(each.offers),
        )
        for each in promises
    ]
    columns = ("<file", "<molecule", "TSs per 1000", "TSs", "gradients", "distance", "offers")
    return Section("Where exploring is expected to pay", columns, tuple(rows))


def plain_promise(promise: Promise) -> dict[str, Any]:
    """A molecule as plain JSON."""
    return asdict(promise)
