"""The trials on a structure: what the methods of a run offer, numbered.

Offers that have an end are numbered from 0, method by method; those without an end follow from
`KICKS`, the methods in turn.
"""

from __future__ import annotations

from itertools import islice

import numpy as np

from afir.errors import InputError
from afir.methods.base import Known, Offer, is_endless, load_method, method_names, offers_of
from afir.molecule import Molecule
from networks.records.structures import EQ
from networks.settings import Settings

KICKS = 1_000_000
"""The number of the first offer without an end on an EQ, after those of all attempts."""


def missing_method(settings: Settings) -> str | None:
    """The first method of a run that is not installed here; None if all are."""
    known = method_names()
    return next((name for name in settings.methods if name not in known), None)


class Mixture:
    """The methods of a run.

    Parameters
    ----------
    molecule, settings
        Of the run.
    stream
        The stream of random numbers of the lists, beside the seed.

    Raises
    ------
    InputError
        If a method is not installed or cannot be built, or the effort allows no trial.
    """

    def __init__(self, molecule: Molecule, settings: Settings, stream: int) -> None:
        self._molecule = molecule
        self._targets = settings.targets
        self._seed = settings.seed, stream
        methods = [
            (name, load_method(name, settings.options_of(name))) for name in settings.methods
        ]
        self._ending = [(name, method) for name, method in methods if not is_endless(method)]
        self._endless = [(name, method) for name, method in methods if is_endless(method)]
        if not self._ending and settings.tried.fewest_kicks == 0:
            raise InputError(
                f"`effort` must be normal or thorough if the offers of all methods are without an "
                f"end, as those of {', '.join(settings.methods)} are, got {settings.effort!r}"
            )

    @property
    def has_end(self) -> bool:
        """Whether the offers of all methods have an end."""
        return not self._endless

    def offers(self, eq: EQ) -> list[Offer]:
        """All offers on an EQ that have an end, in the order of their numbers.

        Raises
        ------
        AfirError
            If a method fails.
        """
        known = self._known(eq)
        return [
            offer
            for name, method in self._ending
            for offer in offers_of(name, method, known, self._rng(eq))
        ]

    def first_endless(self, eq: EQ, count: int) -> dict[int, Offer]:
        """The first `count` offers on an EQ that have no end, by number; fewer if they end."""
        known, methods = self._known(eq), self._endless
        found: dict[int, Offer] = {}
        for place, (name, method) in enumerate(methods):
            wanted = range(place, count, len(methods))
            listed = offers_of(name, method, known, self._rng(eq))
            found |= {
                KICKS + number: offer
                for number, offer in zip(wanted, islice(listed, len(wanted)), strict=False)
            }
        return dict(sorted(found.items()))

    def _known(self, eq: EQ) -> Known:
        return Known(self._molecule, eq, self._targets)

    def _rng(self, eq: EQ) -> np.random.Generator:
        """The same for all methods: none may depend on which others there are."""
        return np.random.default_rng([*self._seed, eq.number])
