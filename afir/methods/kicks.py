"""Kicks: saddle searches and minimisations from random geometries (10.1002/jcc.10407).

For small molecules they lead to structures that no mode and no push reaches.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

import numpy as np

from afir.methods.arrangements import arrangement, hydrogen_moved, shaken
from afir.methods.base import Known
from afir.methods.mode_following import FEWEST_ATOMS
from afir.methods.saddle_trial import saddle_trial
from afir.molecule import Molecule
from afir.pes.driver import Search, stage
from afir.searches.known import KnownStructures
from afir.searches.minimum import minimise
from afir.searches.saddle import saddle
from afir.searches.settings import StepSettings
from afir.stationary import Outcome, StationaryPoint, TrialResult

# A displacement (Å, root mean square of an atom), a hydrogen moved and a random arrangement of all
# atoms reach different transition states for the same gradients; relaxed, an arrangement leads to
# minima whose barriers are too high for a push. 0.3 to 1.2 Å were tried on H2CO, H2O2, HNCO, HONO
# and NH2OH.
_SHAKE = 0.6
# Gradients of one search: a new search costs less than a long one. Arrangements of ten atoms take
# 80 to relax on average.
_SADDLE_STEPS, _RELAX_STEPS = 50, 150

GEOMETRIES = ("displaced", "arranged", "moved", "relaxed")
"""What is done in turn: all atoms are displaced, all are arranged anew, one is moved, all are
arranged anew and relaxed without a saddle search."""


@dataclass(frozen=True)
class Kicks:
    """Starts from random geometries, for ever; none between target atoms or in diatomics."""

    endless: bool = field(default=True, init=False)

    def offers(self, known: Known, rng: np.random.Generator) -> Iterator[Mapping[str, Any]]:
        """A random geometry each, made when it is searched from."""
        if known.targets is not None or known.molecule.n_atoms < FEWEST_ATOMS:
            return
        for number in count():
            yield {
                "kind": "random",
                "geometry": GEOMETRIES[number % len(GEOMETRIES)],
                "number": number,
            }

    def search(
        self,
        molecule: Molecule,
        start: StationaryPoint,
        data: Mapping[str, Any],
        step: StepSettings,
        *,
        ceiling: float | None,
        rng: np.random.Generator,
        known: KnownStructures | None = None,
    ) -> Search[TrialResult]:
        """The saddle search, or the minimisation, from a random geometry."""
        if data["geometry"] == "relaxed":
            return _relaxed(molecule, step, rng, known)
        if data["geometry"] == "arranged":
            guess = arrangement(molecule, rng)
        elif data["geometry"] == "moved":
            guess = hydrogen_moved(molecule, start.positions, rng)
        else:
            guess = shaken(molecule, start.positions, _SHAKE, rng)
        limits = replace(step, saddle_steps=min(step.saddle_steps, _SADDLE_STEPS))
        return saddle_trial(saddle(molecule, guess, limits, known=known), "kick", ceiling)


def _relaxed(
    molecule: Molecule,
    step: StepSettings,
    rng: np.random.Generator,
    known: KnownStructures | None,
) -> Search[TrialResult]:
    """The minimisation of an arrangement."""
    limits = replace(step, minimum_steps=min(step.minimum_steps, _RELAX_STEPS))
    relaxing = minimise(molecule, arrangement(molecule, rng), limits, known=known)
    end = yield from stage("minimum", relaxing)
    # Dissociated random fragments were never bonded: they are no channel of the structure.
    minima = (end,) if end.outcome is Outcome.CONVERGED and not end.dissociated else ()
    return TrialResult(Outcome.RELAXED, (), minima, False)
