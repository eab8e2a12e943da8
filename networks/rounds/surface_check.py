"""Checks that the surface of a run has not changed since the run began.

A model file may be replaced, a calculator changed, a package updated: then energies of two surfaces
would be mixed in one network without notice. The reported surface is evaluated at EQ0, on resume
and after the pushes of a round. A change that leaves EQ0 as it is, or a change of the searched
surface beside a reference, is not noticed.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

import numpy as np

from afir.errors import AfirError, BrokenSurfaceError, InputError, SurfaceError
from afir.pes.driver import solve
from afir.pes.loading import load_surface
from afir.pes.surface import limit
from afir.stationary import StationaryPoint
from afir.units import KJ_PER_MOL
from afir.verification.consistency import DRIFT
from afir.verification.minima import NotAMinimum, characterise
from networks.execution.context import label
from networks.execution.tasks import Characterise, Label, Labelled, TaskResult
from networks.graph.network import ReactionNetwork
from networks.records.structures import EQ
from networks.records.trials import Key
from networks.storage.store import Store

GRADIENT = 0.05
"""eV/Å: how much larger the largest component of the gradient of EQ0 may be than it was."""


def check_unchanged(store: Store) -> None:
    """Evaluate EQ0 when a run is resumed; that gradient is not counted.

    Raises
    ------
    InputError
        If the surface cannot be loaded, fails, or its result has changed.
    """
    first = store.first_eq()
    if first is None:
        return
    name, options = store.settings.reported
    surface = load_surface(name, store.molecule, **options)
    limit(surface, store.settings.task_seconds)
    try:
        said = solve(label(first.positions), surface)
    except (SurfaceError, BrokenSurfaceError) as error:
        raise InputError(
            f"the surface {name} must still work for the start of {store.path}, it says: {error}"
        ) from error
    off = _off(said.energy, first)
    if off:
        with suppress(SurfaceError, NotAMinimum):
            # As EQ0 was found: the SCF may have two solutions.
            refined = characterise(store.molecule, first.positions, hessian=first.hessian)
            if not _off(solve(refined, surface).energy, first):
                return
        what = f"energy of EQ0 is {off / KJ_PER_MOL:+.2f} kJ/mol off"
    else:
        steepest = float(np.abs(said.gradient).max())
        if steepest <= first.gradient_max + GRADIENT:
            return
        what = f"largest gradient component of EQ0 is {steepest:.2f} eV/Å and should be about 0"
    raise InputError(
        f"the surface {name} must be the one that {store.path} began with; the {what}: bring back "
        f"what was changed or begin a new run"
    )


AGAIN = Key("again", 0)
"""The key of the recheck of EQ0 after the pushes of a round."""
_EVERY = 8  # rounds between rechecks with a reference, whose gradients are expensive
PROBE = Key("probe", 0)
"""The question whether EQ0 is refined as it was: when no push could begin, or EQ0 is off."""


def again(
    network: ReactionNetwork, round_number: int, *, referenced: bool
) -> list[tuple[Key, Label]]:
    """The recheck of EQ0 in a round, if it is due; one gradient among thousands."""
    if referenced and round_number % _EVERY:
        return []
    return [(AGAIN, Label(network.eqs["EQ0"].positions, "again"))]


def check_again(
    answers: Mapping[Key, TaskResult], network: ReactionNetwork, round_number: int
) -> TaskResult | None:
    """The result of the recheck of EQ0, if there is one; raises if its energy has changed.

    Raises
    ------
    AfirError
        If it has. A surface that failed has not, nor one that gives the old energy when EQ0 is
        refined as at the beginning: an SCF may have several solutions.
    """
    answer = answers.get(AGAIN)
    off = changed(answer, network)
    if off:
        refined = answers.get(PROBE)
        point = None if refined is None else refined.value
        same = isinstance(point, StationaryPoint) and not _off(point.energy, network.eqs["EQ0"])
        if not same:
            raise AfirError(
                f"the surface gave another energy for EQ0 in round {round_number} than when the "
                f"run began, {off / KJ_PER_MOL:+.2f} kJ/mol off; nothing of this round was kept: "
                "fix the surface, then resume the run"
            )
    return answer


def changed(answer: TaskResult | None, network: ReactionNetwork) -> float:
    """How far in eV the energy of EQ0 is off by an answer to `again`; 0 if that means nothing."""
    if answer is None or not isinstance(answer.value, Labelled):
        return 0.0
    return _off(answer.value.energy, network.eqs["EQ0"])


def _off(energy: float, first: EQ) -> float:
    """How far in eV an energy of EQ0 is off; 0 if that means nothing."""
    off = energy - first.energy
    return off if abs(off) > DRIFT else 0.0


def probe(network: ReactionNetwork) -> tuple[Key, Characterise]:
    """The task whose result `check_works` needs."""
    first = network.eqs["EQ0"]
    return PROBE, Characterise(first.positions, first.hessian)


def check_works(answers: Mapping[Key, TaskResult], round_number: int) -> None:
    """Check that the surface still works for EQ0, if that was tested.

    Raises
    ------
    AfirError
        If it fails: then the pushes were not tried, and must not be used up.
    """
    answer = answers.get(PROBE)
    if answer is not None and not isinstance(answer.value, StationaryPoint):
        raise AfirError(
            f"the surface failed at the start of every push of round {round_number} "
            f"({answer.error}); nothing of this round was kept: fix the surface, then "
            "resume the run"
        )
