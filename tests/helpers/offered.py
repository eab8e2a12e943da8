"""Offers of the methods of this package, written by hand."""

from __future__ import annotations

from afir.methods.artificial_force import ForceTerm
from afir.methods.base import Offer
from afir.methods.kicks import GEOMETRIES


def forced(*terms: ForceTerm) -> Offer:
    """Force terms that act together."""
    return Offer("sc-afir", {"forces": [term.plain() for term in terms]})


def pushed(first: int, second: int) -> Offer:
    """Two atoms pushed together."""
    return forced(ForceTerm((first,), (second,), 1))


def pulled(first: int, second: int) -> Offer:
    """Two atoms pulled apart."""
    return forced(ForceTerm((first,), (second,), -1))


PUSH = pushed(0, 1)


def climbed(mode: int, sign: int) -> Offer:
    """A climb of a mode."""
    return Offer("mode-following", {"kind": "climb", "mode": mode, "sign": sign})


def inverted(atom: int) -> Offer:
    """The inversion of an atom."""
    return Offer("inversion", {"kind": "inversion", "atoms": [atom]})


def kicked(number: int) -> Offer:
    """A random geometry."""
    geometry = GEOMETRIES[number % 4]
    return Offer("kick", {"kind": "random", "geometry": geometry, "number": number})


def written(offer: Offer) -> list[str]:
    """An offer in a few characters: ``+0|1``, ``~3+``, ``^4`` or ``*5``."""
    data = offer.data
    if offer.forces:
        return [str(ForceTerm.from_plain(force)) for force in offer.forces]
    return {
        "climb": lambda: [f"~{data['mode']}{'+' if data['sign'] > 0 else '-'}"],
        "inversion": lambda: [f"^{data['atoms'][0]}"],
        "random": lambda: [f"*{data['number']}"],
    }[data["kind"]]()
