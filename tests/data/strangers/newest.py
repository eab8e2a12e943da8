"""A policy: the structure that was found last comes first, and the kind of trial that met most."""

from collections import Counter


class Newest:
    """Chooses offers on the newest structure, of the kind that met most structures so far."""

    def __init__(self):
        self._met = Counter()

    def choose(self, offers, network, n, rng):
        """Offers on the newest structures, the best kinds first."""
        chosen = []
        for eq in reversed(list(offers.eqs.values())):
            assert eq.hessian.shape == (eq.positions.size, eq.positions.size)
            left = offers.left(eq.id)
            ranked = sorted(left, key=lambda number: (-self._worth(left[number].data), number))
            chosen += [(eq.id, number) for number in ranked]
            if len(chosen) >= n:
                break
        return chosen[:n]

    def learn(self, trials, network):
        """How many structures each kind of trial met."""
        for trial in trials:
            self._met[trial.offer.get("kind")] += len(trial.met)

    def _worth(self, data):
        return self._met[data.get("kind")]
