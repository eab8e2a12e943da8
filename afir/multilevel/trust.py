"""Searches on a surface that estimates its error: they end where it is too large."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from afir.errors import SurfaceError
from afir.pes.driver import Asked, Level, Request, Search, geometries, reference_stage, relayed
from afir.pes.surface import Evaluation

T = TypeVar("T")

# Chosen, not fitted.
_LESS = 0.7  # of a steep slope, after one more step


class DoubtError(SurfaceError):
    """The reference has shown a large error of the surface in a search."""


def trusting(search: Search[T], tolerated: float = 0.0) -> Search[T]:
    """Run `search` while its surface is accurate enough.

    If the surface expects an error above its limit (`afir.pes.surface.Evaluation.spread`), the
    reference evaluates that geometry. If the actual error is as large as expected, the search ends;
    else it continues, and the threshold for the next reference calculation is doubled.

    Parameters
    ----------
    search
        The search.
    tolerated
        Error of the gradient on an atom, in eV/Å, that is tolerated even with a lower limit.

    Raises
    ------
    DoubtError
        If the surface is wrong.
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
                        f"the reference failed on a geometry of the search: {error}"
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
    """Run `search`, which examines a stationary point of a learned surface, if that is accurate.

    If the reference gradient there is large, the learned surface is wrong. A search for a minimum
    may continue if the gradient falls at once; else the evaluation is used as a label only.

    Parameters
    ----------
    search
        The search.
    tolerated
        Largest component of the gradient of the reference, in eV/Å.
    at_once
        Whether the first gradient decides: a saddle point is not found by going downhill.

    Raises
    ------
    DoubtError
        If the gradient is larger twice in a row and hardly decreases; or once, with `at_once`.
    """
    before = 0.0 if at_once else np.inf

    def heard(asked: Asked, evaluation: Evaluation) -> Evaluation:
        nonlocal before
        if isinstance(asked, Request) and asked.stage == reference_stage("refine"):
            slope = float(np.abs(evaluation.gradients).max())
            if tolerated < slope and slope > _LESS * before:
                raise DoubtError(
                    f"the learned surface is stationary where the reference has a gradient of "
                    f"{slope:.1f} eV/Å"
                )
            # A step that goes too far from a small gradient does not start from a large one.
            before = slope if slope > tolerated else np.inf
        return evaluation

    return relayed(search, heard=heard)
