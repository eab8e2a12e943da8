"""Rattling: all atoms displaced at random, then a saddle search and a minimisation in turn."""

from dataclasses import dataclass
from itertools import count

from afir import Outcome, TrialResult, minimise, saddle, saddle_trial, stage


@dataclass(frozen=True)
class Rattle:
    """Displaces all atoms at random.

    Parameters
    ----------
    size
        Root mean square of the displacement of an atom in Å.
    """

    size: float = 0.8
    endless = True

    def offers(self, known, rng):
        """Every other one is a climb to a saddle point."""
        for number in count():
            yield {"kind": "down" if number % 2 else "up", "number": number}

    def search(self, molecule, start, data, step, *, ceiling, rng):
        """The saddle search or the minimisation from a displaced geometry."""
        x = start.positions + self.size * rng.normal(size=start.positions.shape) / 3**0.5
        if data["kind"] == "up":
            return saddle_trial(saddle(molecule, x, step), "rattle", ceiling)
        return self._down(molecule, x, step)

    def _down(self, molecule, x, step):
        end = yield from stage("minimum", minimise(molecule, x, step))
        found = end.outcome is Outcome.CONVERGED
        return TrialResult(Outcome.RELAXED, (), (end,) if found else (), False)
