"""Searches on a surface that knows what it does not know: where they must not go on."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from afir.driver import Asked, Level, Request, Search, geometries, reference_stage, relayed
from afir.errors import SurfaceError
from afir.surface import Evaluation

T = TypeVar("T")

_LESS = 0.7  # of a steep slope, after one more step


class DoubtError(SurfaceError):
    """A surface was not to be trusted where a search went; the reference said so."""


def trusting(search: Search[T], tolerated: float = 0.0) -> Search[T]:
    """Run `search` for as long as its surface can be trusted.

    Where the surface expects an error above its limit (`afir.surface.Evaluation.spread`), the
    reference is asked for that geometry. If the error is as large as was feared, the search ends;
    if it was a false alarm, the search goes on, and the next alarm has to be twice as loud.

    Parameters
    ----------
    search
        The search.
    tolerated
        Error of the gradient on an atom, in eV/Å, that does not matter, low as the limit may be.

    Raises
    ------
    DoubtError
        When the surface is wrong.
    """
    louder = 1.0
    try:
        asked = next(search)
        while True:
            try:
                evaluation = yield asked
            except SurfaceError as error:
                asked = search.throw(error)
                continue
            spread, limit = evaluation.spread, max(evaluation.limit, tolerated)
            if spread is not None and float(spread.max(initial=0.0)) > louder * limit:
                worst = int(np.argmax(spread))
                positions = geometries(asked)
                try:
                    truth = yield Request(
                        positions[worst][None], reference_stage("label"), Level.REFERENCE, search
                    )
                except SurfaceError as error:
                    raise DoubtError(
                        f"nothing is known of a geometry on the way: {error}"
                    ) from error
                wrong = np.linalg.norm(truth.gradients[0] - evaluation.gradients[worst], axis=1)
                if float(wrong.max()) > limit:
                    raise DoubtError(
                        f"the learned surface errs by {wrong.max():.1f} eV/Å on an atom, where "
                        f"{limit:.1f} eV/Å are tolerated"
                    )
                louder = 2.0 * max(louder, float(spread[worst]) / limit)
            asked = search.send(evaluation)
    except StopIteration as stop:
        result: T = stop.value
        return result


def doubting(search: Search[T], tolerated: float, *, at_once: bool = False) -> Search[T]:
    """Run `search`, which examines a stationary point of a learned surface, if there is any sense.

    Where the reference says that it lies on a steep slope, what was learned is wrong there. A
    search for a minimum may go down if it gets off the slope at once; else what was said is worth
    its label, but no search for what may be nearby.

    Parameters
    ----------
    search
        The search.
    tolerated
        Largest component of the gradient of the reference, in eV/Å.
    at_once
        Whether the slope where it begins is enough: from there a saddle point is not found by going
        down.

    Raises
    ------
    DoubtError
        When the slope is steeper twice in a row, and hardly less the second time; or `at_once`.
    """
    before = 0.0 if at_once else np.inf

    def heard(asked: Asked, evaluation: Evaluation) -> Evaluation:
        nonlocal before
        if isinstance(asked, Request) and asked.stage == reference_stage("refine"):
            slope = float(np.abs(evaluation.gradients).max())
            if tolerated < slope and slope > _LESS * before:
                raise DoubtError(
                    f"the learned surface is stationary where the reference has a slope of "
                    f"{slope:.1f} eV/Å"
                )
            # What goes too far in one step from a gentle slope is not on a steep one itself.
            before = slope if slope > tolerated else np.inf
        return evaluation

    return relayed(search, heard=heard)
