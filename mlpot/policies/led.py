"""A replay that is led by a model, as the policy leads a run."""

from __future__ import annotations

from itertools import islice

import numpy as np

from mlpot.policies.model import PolicyModel
from mlpot.policies.ranking import EQ_WEIGHT, Ranking, best
from mlpot.policies.replay import Replay
from mlpot.policies.structure import Ints

# Low TSs count as others do: the replays are judged by the number of all TSs.
_WEIGHTS = np.array([1.0, 0.0, EQ_WEIGHT])


class Led:
    """Leads a replay as the policy does: the model with what the run so far says about it."""

    def __init__(self, replay: Replay, model: PolicyModel, rng: np.random.Generator) -> None:
        self._replay, self._model, self._rng = replay, model, rng
        self._ranking = Ranking(model, "greedy", _WEIGHTS)

    def go(self, left: Ints, n: int) -> None:
        """Do the best `n` of the trials (m,) that can be done."""
        replay, ranking = self._replay, self._ranking
        expected = self._model.foretold(replay.rows(left), _WEIGHTS)
        values = ranking.values(expected, replay.terms(left), self._rng)
        for place in list(islice(best(values, replay.world.groups[left]), n)):
            trial, one = int(left[place]), left[[place]]
            rows, terms = replay.rows(one), replay.terms(one)
            tss, low, eqs, _ = replay.brings(trial)
            ranking.weigh(rows, terms, (tss, low, eqs))
            replay.do(trial)
