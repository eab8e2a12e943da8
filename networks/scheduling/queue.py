"""The pushes that are still to be tried, of every EQ that is worth expanding.

EQs are kept sorted. The pushes of an EQ are worked out when a policy first asks for them.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType

from afir.errors import InputError
from afir.methods.base import Offer
from networks.records.structures import EQ
from networks.records.trials import Item

_REMEMBERED = 1000  # EQs whose pushes are kept in memory


class Frontier:
    """The open EQs and the pushes that each has left.

    Parameters
    ----------
    pushes
        Works out all pushes of an EQ by number. Must always give the same for the same EQ, since
        only the last EQs are kept in memory.
    late
        Whether a push waits until all other pushes of its EQ are used up; by default none does.

    Attributes
    ----------
    under_way
        Pushes that were chosen and have no result yet, as far as the exploration says.
    """

    def __init__(
        self,
        pushes: Callable[[EQ], Mapping[int, Offer]],
        late: Callable[[Offer], bool] | None = None,
    ) -> None:
        self._pushes = pushes
        self._late = late
        self._eqs: dict[str, EQ] = {}
        self._left: OrderedDict[str, dict[int, Offer]] = OrderedDict()
        self._used: dict[str, set[int]] = {}
        self._by_energy: list[tuple[float, int, str]] = []
        self.under_way: Mapping[Item, Offer] = {}

    def add(self, eq: EQ, used: Iterable[int] = (), left: int | None = None) -> None:
        """Open an EQ, unless all its pushes were used before.

        `left` is the number of unused pushes, if known; without it they are worked out.
        """
        if eq.id in self._eqs:
            raise InputError(f"`eq` must not be open yet, got {eq.id} again")
        self._eqs[eq.id] = eq
        self._used[eq.id] = set(used)
        insort(self._by_energy, _rank(eq))
        # As after its last push: a resumed run must choose among the same EQs.
        if self._used[eq.id] and not (self.count(eq.id) if left is None else left):
            self.close(eq.id)

    @property
    def eqs(self) -> Mapping[str, EQ]:
        """The open EQs by id, in the order of discovery. Some may have no push left."""
        return MappingProxyType(self._eqs)

    def by_energy(self) -> Iterator[EQ]:
        """The open EQs, lowest energy first; iteration may stop early."""
        for _, _, id in self._by_energy:
            yield self._eqs[id]

    def left(self, id: str) -> Mapping[int, Offer]:
        """The pushes an EQ has left, by number and in order; empty for one that is not open.

        Late pushes are included only if there are no others.
        """
        every, late = self._all(id), self._late
        if late is None:
            return MappingProxyType(every)
        early = {number: offer for number, offer in every.items() if not late(offer)}
        return MappingProxyType(early or every)

    def count(self, id: str) -> int:
        """Number of pushes an EQ has left, late ones included."""
        return len(self._all(id))

    def _all(self, id: str) -> dict[int, Offer]:
        """The pushes an EQ has left, late ones included."""
        if id not in self._eqs:
            return {}
        if id not in self._left:
            used = self._used[id]
            self._left[id] = {
                number: offer
                for number, offer in self._pushes(self._eqs[id]).items()
                if number not in used
            }
            if len(self._left) > _REMEMBERED:
                self._left.popitem(last=False)
        self._left.move_to_end(id)
        return self._left[id]

    def is_left(self, item: tuple[str, int]) -> bool:
        """Whether that push of that EQ, which must be one of its pushes, is left."""
        id, push = item
        return id in self._eqs and push not in self._used[id]

    def take(self, item: Item) -> Offer:
        """The offer of a push, which is used up; an EQ without further pushes is closed.

        Raises
        ------
        InputError
            If that push is not left.
        """
        if item.push not in self._all(item.eq):
            raise InputError(f"`item` must be a push that is left, got {item.eq} {item.push}")
        offer = self._left[item.eq].pop(item.push)
        self._used[item.eq].add(item.push)
        if not self._left[item.eq]:
            self.close(item.eq)
        return offer

    def close(self, id: str) -> None:
        """Drop an EQ and all pushes it has left."""
        rank = _rank(self._eqs.pop(id))
        del self._by_energy[bisect_left(self._by_energy, rank)]
        self._left.pop(id, None)
        del self._used[id]

    def anything_left(self) -> bool:
        """Whether any push is left; EQs without any are closed."""
        while self._eqs:
            id = next(iter(self._eqs))
            if self._all(id):
                return True
            self.close(id)
        return False


def _rank(eq: EQ) -> tuple[float, int, str]:
    return eq.energy, eq.number, eq.id
