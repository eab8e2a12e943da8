"""How long a step may be: the trust region of minimisations, saddle searches and IRCs.

A search takes steps within a radius. The radius shrinks where the surface refuses a step, where a
step is rejected or where its outcome was predicted badly, and grows where a long step was
predicted well. The rule is one; its numbers differ, see `afir.searches.settings.TrustSettings`.
"""

from __future__ import annotations

from afir.searches.settings import TrustSettings


class TrustRegion:
    """The trust region of one search.

    Sizes of steps are in the units of the radius: the largest displacement of an atom in Å for
    minimisations, the Euclidean norm in Å for saddle searches, the mass-weighted length in
    amu^½ Å for IRCs.

    Parameters
    ----------
    numbers
        Its rules.
    most
        Largest radius; that of the numbers if not given.
    first
        Radius of the first step; that of the numbers if not given, else the largest.

    Attributes
    ----------
    radius
        The largest size of the next step.
    """

    def __init__(
        self, numbers: TrustSettings, *, most: float | None = None, first: float | None = None
    ) -> None:
        self._numbers = numbers
        self._most = numbers.most if most is None else most
        self._first = min(numbers.first, self._most) if first is None else first
        self._refusals = 0
        self.radius = self._first

    def refused(self) -> bool:
        """Count a step that the surface refused; True if so many in a row are enough."""
        self._refusals += 1
        return self._refusals >= self._numbers.patience

    def answered(self) -> None:
        """Note that the surface has answered: refusals are counted in a row."""
        self._refusals = 0

    def retreat(self, size: float) -> None:
        """Shorten the radius after a step of some size that the surface refused."""
        self.radius = self._numbers.refused * size

    def reject(self, size: float) -> bool:
        """Shorten the radius after a step that was not taken.

        Returns
        -------
        bool
            True if no shorter step makes progress: the radius would be below the least one.
        """
        self.radius = self._numbers.rejected * size
        spent = self.radius < self._numbers.least
        self.radius = max(self.radius, self._numbers.least)
        return spent

    def judge(self, size: float, quality: float, *, sure: bool = True) -> None:
        """Adapt the radius after a step that was taken.

        Parameters
        ----------
        size
            The size of the step.
        quality
            How well it was predicted, in the sense of the numbers.
        sure
            Whether the radius may grow.
        """
        numbers = self._numbers
        if not self.tolerates(quality):
            self.radius = max(numbers.shorter * size, numbers.least)
            return
        good = numbers.good_above < quality < numbers.good_below
        if good and sure and size > numbers.used * self.radius:
            self.radius = min(numbers.longer * self.radius, self._most)

    def tolerates(self, quality: float) -> bool:
        """Whether a step of this quality does not shorten the radius."""
        return not (quality < self._numbers.poor_below or quality > self._numbers.poor_above)

    def restart(self) -> None:
        """Be as careful as at the start."""
        self.radius = min(self.radius, self._first)
