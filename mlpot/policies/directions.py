"""What each kind of push brings: the table that a model must surpass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mlpot.policies import correction, features
from mlpot.policies.rows import Rows
from mlpot.policies.structure import Floats, Ints

DIRECTIONS = (
    *("push", "pull", "two pushes", "elimination", "two pulls", "climb", "inversion", "other"),
    *("transfer", "push and pull apart"),
)
"""Kinds of offers: `correction.WAYS`, any other, and the other two with a push and a pull.

In an elimination two atoms are pushed together and pulled off their neighbour, in a transfer an
atom is pushed to another and pulled off its neighbour (`afir.methods.pushes`).
"""

_PUSH_AND_PULL = correction.WAYS.index("+-")
_TRANSFER, _APART = DIRECTIONS.index("transfer"), DIRECTIONS.index("push and pull apart")
_SHARED = features.NAMES.index("atoms in both pairs")
_TOUCHED = features.NAMES.index("atoms in fragments of both forces")


def directions(ways: Ints, described: Floats) -> Ints:
    """The numbers (m,) in `DIRECTIONS` of offers.

    Parameters
    ----------
    ways
        (m,) their numbers in `correction.WAYS`.
    described
        (m, k) their features.
    """
    result = ways.copy()
    both = ways == _PUSH_AND_PULL
    result[both & (described[:, _TOUCHED] < 2)] = _TRANSFER
    result[both & (described[:, _SHARED] < 1)] = _APART
    return result


@dataclass(frozen=True, eq=False)
class Table:
    """What offers of each direction brought on average; each run counts alike.

    Attributes
    ----------
    shares
        (d,) of all trials.
    tss
        (d,) new TSs of a trial.
    rates
        (d,) new TSs for a gradient of the search. One that never occurred has the mean in both.
    """

    shares: Floats
    tss: Floats
    rates: Floats

    def rows(self) -> list[dict[str, str | float]]:
        """The table as plain data, the most productive first; what never occurred is left out."""
        order = np.argsort(-self.rates, kind="stable").tolist()
        return [
            {
                "direction": DIRECTIONS[k],
                "share_of_trials": float(self.shares[k]),
                "new_tss_per_trial": float(self.tss[k]),
                "new_tss_per_1000_gradients": 1000.0 * float(self.rates[k]),
            }
            for k in order
            if self.shares[k] > 0.0
        ]


def table_of(data: Sequence[Rows]) -> Table:
    """The table of runs."""
    trials, tss, gradients = np.zeros((3, len(DIRECTIONS)))
    for rows in data:
        kinds, weight = directions(rows.ways, rows.features), 1.0 / len(rows.logs)
        for sums, values in (
            (trials, np.ones(len(rows.logs))),
            (tss, rows.gains[:, 0]),
            (gradients, np.exp(rows.logs)),
        ):
            sums += weight * np.bincount(kinds, values, len(DIRECTIONS))
    there = trials > 0.0
    return Table(
        trials / len(data),
        np.where(there, tss, tss.sum()) / np.where(there, trials, trials.sum()),
        np.where(there, tss, tss.sum()) / np.where(there, gradients, gradients.sum()),
    )
