"""The features of an offer in words: what each says, and which say similar things."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from afir.units import KJ_PER_MOL
from mlpot.policies.features import ABSENT
from mlpot.policies.structure import ELEMENT, FARTHEST

FORCES, ELEMENTS, BONDS, GEOMETRY = "forces and modes", "elements", "bonds", "geometry"
STIFFNESS, MOLECULE = "stiffness", "molecule and structure"
TRIED, FOUND = "tried before", "found before"

ABSENT_THINGS = (
    *("pushes no", "pulls no", "no force", "climbs no", "inverts no", "follows no", "only "),
    *("does not ", "its forces have no", "the fragments of its forces have no"),
    *("the structure has no", "no transition state", "a single force"),
)
"""How the words begin that say of an offer what it is not."""

_SATURATED = 0.1  # bond orders: less than this beyond a single bond is the scatter of bond lengths
_UNCHANGED = 0.005  # less is printed as 0
_BONDED = 0.05  # of a bond order: what is not bonded has none

_PART = 0.005  # a share in the force or motion: less is printed as 0 %

_PLACES = ("first", "second", "third", "fourth")


OF_MOLECULE = ("structure: atoms", "structure: heavy atoms")
"""Features that all offers on all structures of a run have in common."""


def all_told(values: Mapping[str, float]) -> dict[str, tuple[str, str]]:
    """All features of an offer with their values: words and group of each.

    Features that say that something is absent say what there is instead, in the same words for all
    of them, and what was never tried has not found anything: each fact is told once.

    Parameters
    ----------
    values
        The values by name, all of `model.NAMES`.
    """
    result = {name: (told(name, value), group_of(name, value)) for name, value in values.items()}
    for name, other in _SAID_BY.items():
        if values[other] <= 0.0:
            result[name] = result[other]
    kind = next((name for name in _KINDS if values[name] > 0.0), "")
    if kind:
        same = [name for name in values if name in _ABSENT_IN_KINDS or values[name] == ABSENT]
        result |= dict.fromkeys((*same, kind), (told(kind, values[kind]), FORCES))
    elif values["forces"] > 0.0:
        result |= _of_forces(values)
    return result | _of_atoms(values)


_KINDS = ("is climb", "is inversion", "is random")
# What has found nothing if it was never tried; what is not connected if it is not known.
_SAID_BY = {
    "equivalent offers found": "equivalent offers tried",
    "structure found": "structure tried",
    "species found": "species tried",
    "like offers found": "like offers tried",
    "force found, less": "force tried, less",
    "product is linked": "product is known",
}
_TOGETHER = (
    *("atoms in both pairs", "bonds between the pairs", "atoms in fragments of both forces"),
)
_ABSENT_IN_KINDS = (
    *("forces", "pushes", "pulls", *_TOGETHER, "change of free valence", *_KINDS),
    *("force tried, less", "force tried, more", "force found, less"),
    *("product is known", "product is linked"),  # it is that of the structure itself
)
_OF_MODES = ("number of the mode", "wavenumber of the mode")


def _of_forces(values: Mapping[str, float]) -> dict[str, tuple[str, str]]:
    """Of an offer with forces: what would say only that it is no other one, in other words."""
    count = values["forces"]
    text = "a single force acts" if count == 1 else told("forces", count)
    same = ["forces", *_KINDS, *_OF_MODES, *(_TOGETHER if count == 1 else ())]
    result = dict.fromkeys(same, (text, FORCES))
    if count == 1 or values["force tried, more"] <= 0.0:
        which = "its force was" if count == 1 else "its forces were"
        tried = f"{which} {_tried(values['force tried, less'])}", TRIED
        result |= dict.fromkeys(("force tried, less", "force tried, more"), tried)
        if values["force tried, less"] <= 0.0:
            result["force found, less"] = tried
    for absent, verb, other in (("pushes", "pulls", "pulls"), ("pulls", "pushes", "pushes")):
        if values[absent] == 0.0:
            pair = f"{'pushed' if absent == 'pushes' else 'pulled'} pair: "
            names = [absent, other, *(name for name in values if name.startswith(pair))]
            result |= dict.fromkeys(
                names, (f"only {verb} ({_count(values[other], 'pair')})", FORCES)
            )
    return result


def _of_atoms(values: Mapping[str, float]) -> dict[str, tuple[str, str]]:
    """Of the atoms in the force or motion: what those are that have a share in it."""
    shares = [values[f"atom {k + 1}: share"] for k in range(len(_PLACES))]
    count = sum(share >= _PART for share in shares)
    none = f"only {_count(count, 'atom')} take{'s' * (count == 1)} part in the force or motion"
    result = {}
    for place, share in enumerate(shares):
        text, group = none, FORCES
        if share >= _PART:
            element = {name: values[f"atom {place + 1}: {name}"] / share for name in ELEMENT}
            text, group = _taking_part(_PLACES[place], share, element), ELEMENTS
        for quantity in ("share", *ELEMENT):
            result[f"atom {place + 1}: {quantity}"] = text, group
    return result


def _taking_part(place: str, share: float, element: Mapping[str, float]) -> str:
    """An atom with its share in the force or motion and what tells its element from others."""
    return (
        f"the {place} atom (period {element['period']:.0f}, electronegativity "
        f"{element['electronegativity']:.2f}) has {100.0 * share:.0f} % of the force or motion"
    )


def told(name: str, value: float) -> str:
    """A feature (`model.NAMES`) with its value, in words without a full stop."""
    which, _, rest = name.partition(": ")
    if which in ("pushed pair", "pulled pair"):
        return _of_pair(which.split()[0], rest, value)
    if which.startswith("atom ") and rest:
        return _of_atom(_PLACES[int(which.split()[1]) - 1], rest, value)
    return _OTHERS[name](value)


def group_of(name: str, value: float) -> str:
    """What a feature is about, where it has this value."""
    which, _, rest = name.partition(": ")
    if value == ABSENT:  # whatever it says of a pair, there is none
        return FORCES
    quantity = (rest or name).split(",")[0]
    if which == "structure":
        return MOLECULE
    if quantity in (*ELEMENT, "difference of electronegativities"):
        return ELEMENTS
    if quantity in ("compliance", "largest motion", "approach"):
        return STIFFNESS
    if quantity in _GEOMETRY:
        return GEOMETRY
    if name.endswith((" tried", "tried, less", "tried, more")):
        return TRIED
    if quantity in _FOUND:
        return FOUND
    return FORCES if name in _ABOUT_FORCES or quantity == "share" else BONDS


_GEOMETRY = (
    *("relative distance", "largest relative distance", "angle at the atom between"),
    *("open side", "smaller fragment", "larger fragment"),
)
_FOUND = (
    *("equivalent offers found", "structure found", "species found", "like offers found"),
    *("product is known", "product is linked", "force found"),
)
_ABOUT_FORCES = (
    *("forces", "pushes", "pulls", "is climb", "is inversion", "is random"),
    *("number of the mode", "wavenumber of the mode", "atoms in both pairs"),
    *("bonds between the pairs", "atoms in fragments of both forces"),
)


def _count(number: float, what: str, none: str = "no") -> str:
    """A number of things: ``no pair``, ``1 pair``, ``2 pairs``."""
    if number == 0:
        return f"{none} {what}"
    return f"{number:g} {what}{'' if number == 1 else 's'}"


def _of_pair(side: str, rest: str, value: float) -> str:
    """A feature of the pairs that are pushed, or pulled; with several pairs it is the mean."""
    verb, noun = {"pushed": ("pushes", "push"), "pulled": ("pulls", "pull")}[side]
    if value == ABSENT:
        return f"{verb} no pair"
    quantity, _, end = rest.partition(", ")
    if quantity == "unsaturation" and value < _SATURATED:
        return (
            f"{verb} a saturated pair"
            if end == "higher"
            else f"{verb} a pair with a saturated atom"
        )
    if quantity == "open side":
        return (
            f"the {end} open side of the {side} atoms faces the other by {value:.2f} "
            "(1: straight away from its bonds)"
        )
    if end in ("lower", "higher"):
        return f"the {end} {_QUANTITIES.get(quantity, quantity)} of the {side} atoms is {value:.3g}"
    return _PAIRS[quantity](value).format(side=side, verb=verb, noun=noun)


_QUANTITIES = {
    "bonded atoms": "number of neighbours",
    "bonded hydrogens": "number of bonded hydrogens",
    "bond orders": "sum of bond orders",
    "covalent radius": "covalent radius in Å",
    "valence electrons": "number of valence electrons",
}

_PAIRS: Mapping[str, Callable[[float], str]] = {
    "difference of electronegativities": lambda v: (
        f"the electronegativities of the {{side}} atoms differ by {v:.2f}"
    ),
    "relative distance": lambda v: f"the {{side}} atoms are {v:.2f} bond lengths apart",
    "bond order": lambda v: (
        "{verb} atoms that are not bonded"
        if v < _BONDED
        else f"the bond order of the {{side}} pair is {v:.2f}"
    ),
    "bonds between": lambda v: (
        "{verb} atoms of different molecules"
        if v >= FARTHEST
        else f"the {{side}} atoms are {_count(v, 'bond')} apart"
    ),
    "smaller fragment": lambda v: f"the smaller {{side}} fragment has {_count(v, 'atom')}",
    "larger fragment": lambda v: f"the larger {{side}} fragment has {_count(v, 'atom')}",
    "angle at the atom between": lambda v: (
        "the {side} atoms have no neighbour in common, or lie opposite to each other"
        if v >= 180.0
        else f"the {{side}} atoms have an angle of {v:.0f}° at a common neighbour"
    ),
    "bond order at the atom between": lambda v: (
        "the {side} atoms have no neighbour in common"
        if v == 0.0
        else f"the strongest bond of their common neighbour has the order {v:.2f}"
    ),
    "bond in a ring": lambda v: "{verb} " + ("a bond in a ring" if v > 0 else "no bond in a ring"),
    "compliance": lambda v: f"the structure gives way to the {{noun}} by {v:.2g} Å²/eV",
    "approach": lambda v: f"a {{noun}} of 1 eV/Å changes the distance by {v:.2g} bond lengths",
    "largest relative distance": lambda v: (
        f"the {{side}} atoms that are farthest apart are {v:.2f} bond lengths apart"
    ),
}


def _of_atom(place: str, quantity: str, value: float) -> str:
    """A feature of an atom by its place in the order of shares in the force or motion."""
    if quantity == "share":
        return f"the {place} atom has {100 * value:.0f} % of the force or motion"
    what = _QUANTITIES.get(quantity, quantity)
    return f"{what} of the {place} atom in the force or motion, times its share, is {value:.2g}"


def _between(level: float) -> str:
    """The counts that have a number of binary digits: that is all that is known of them."""
    low, high = 2 ** (int(level) - 1), 2 ** int(level) - 1
    return "1" if low == high else f"{low} {'or' if high == low + 1 else 'to'} {high}"


def _tried(level: float) -> str:
    """How often something was tried."""
    if level <= 0:
        return "never tried"
    return "tried once" if level == 1 else f"tried {_between(level)} times"


def _new(level: float) -> str:
    """How many new structures were found."""
    if level <= 0:
        return "nothing new"
    return f"{_between(level)} new structure{'s' * (level > 1)}"


_OTHERS: Mapping[str, Callable[[float], str]] = {
    "forces": lambda v: f"{_count(v, 'force')} act{'s' * (v < 2)}",
    "pushes": lambda v: f"pushes {_count(v, 'pair')}",
    "pulls": lambda v: f"pulls {_count(v, 'pair')}",
    "atoms left with too many bonds": lambda v: f"would exceed the usual valences by {v:.2f}",
    "atoms left with too few bonds": lambda v: f"would leave {v:.2f} of the usual valences free",
    "change of free valence": lambda v: (
        "would leave the valences as near to the usual ones as they are"
        if abs(v) < _UNCHANGED
        else f"would bring the valences {abs(v):.2f} {'nearer to' if v < 0 else 'further from'} "
        "the usual ones"
    ),
    "worst valence": lambda v: f"would leave an atom {v:.2f} off its usual valence",
    "atoms in both pairs": lambda v: f"its forces have {_count(v, 'atom')} in common",
    "bonds between the pairs": lambda v: (
        "does not combine two forces"
        if v == ABSENT
        else f"the pairs of its forces are {_count(v, 'bond')} apart"
    ),
    "atoms in fragments of both forces": lambda v: (
        f"the fragments of its forces have {_count(v, 'atom')} in common"
    ),
    "compliance": lambda v: f"the structure gives way to the force by {v:.2g} Å²/eV",
    "largest motion": lambda v: f"a force of 1 eV/Å moves an atom by {v:.2g} Å",
    "is climb": lambda v: "climbs a normal mode" if v else "climbs no normal mode",
    "is inversion": lambda v: "inverts an atom" if v else "inverts no atom",
    "is random": lambda v: (
        "begins at a random geometry" if v else "does not begin at a random geometry"
    ),
    "number of the mode": lambda v: (
        "follows no normal mode" if v == ABSENT else f"follows mode {v:g}, 0 being the softest"
    ),
    "wavenumber of the mode": lambda v: (
        "follows no normal mode" if v == 0.0 else f"follows a mode of {v:.0f} cm⁻¹"
    ),
    "structure: energy": lambda v: (
        f"the structure lies {v / KJ_PER_MOL:.0f} kJ/mol above the start"
        if v >= 0.0
        else f"the structure lies {-v / KJ_PER_MOL:.0f} kJ/mol below the start"
    ),
    "structure: atoms": lambda v: f"the molecule has {_count(v, 'atom')}",
    "structure: heavy atoms": lambda v: f"the molecule has {_count(v, 'atom')} beside hydrogen",
    "structure: rings": lambda v: f"the structure has {_count(v, 'ring')}",
    "structure: molecules": lambda v: f"the structure consists of {_count(v, 'molecule')}",
    "structure: softest wavenumber": lambda v: (
        f"the softest mode of the structure has {v:.0f} cm⁻¹"
    ),
    "structure: unsaturation": lambda v: f"the unsaturation of the structure adds up to {v:.2f}",
    "structure: free valence": lambda v: (
        f"the valences of the structure deviate by {v:.2f} from the usual ones"
    ),
    "equivalent offers tried": lambda v: f"equivalent pushes were {_tried(v)}",
    "equivalent offers found": lambda v: f"trials of equivalent pushes found {_new(v)}",
    "structure tried": lambda v: f"the structure was {_tried(v)}",
    "structure found": lambda v: f"trials on the structure found {_new(v)}",
    "species tried": lambda v: f"structures with these bonds were {_tried(v)}",
    "species found": lambda v: f"trials on structures with these bonds found {_new(v)}",
    "like offers tried": lambda v: f"pushes between the same elements were {_tried(v)}",
    "like offers found": lambda v: f"trials between the same elements found {_new(v)}",
    "product tried": lambda v: f"pushes to the same product were {_tried(v)}",
    "product is known": lambda v: "its product is " + ("known" if v else "not known yet"),
    "product is linked": lambda v: (
        "a transition state to its product is known"
        if v
        else "no transition state to its product is known"
    ),
    "force tried, less": lambda v: (
        f"{'the less tried' if v > 0 else 'one'} of its forces was {_tried(v)}"
    ),
    "force tried, more": lambda v: f"the more tried of its forces was {_tried(v)}",
    "force found, less": lambda v: f"the less productive of its forces found {_new(v)}",
}
