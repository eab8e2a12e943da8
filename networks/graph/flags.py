"""Flags of nodes and transition states."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from afir.geometry.bonds import bonds, bonds_changed
from afir.geometry.superposition import rmsd
from afir.molecule import Molecule
from networks.records.ids import Id
from networks.records.structures import COMPLEX, DC, EQ, TS

NO_TS_KNOWN = "no_ts_known"
"""Flag of a DC that no known transition state connects to."""

LOOP = "loop"
"""Flag of a TS from a structure to itself, with like atoms exchanged or after a rotation."""

CUSP = "cusp"
"""Flag of a TS with an imaginary wavenumber above `STEEPEST`."""

SAME_ENDS = "same_ends"
"""Flag of a TS both of whose ends have the same atoms at the same places."""

END_ABOVE = "end_above"
"""Flag of a TS whose path has an end noticeably above the EQ that it is assigned to."""

BARRIERLESS = "barrierless"
"""The word for the step between a complex and the channel of its molecules."""

NO_STEP = "no direct step known"
"""The words for the way to a channel from the EQ that first reached it, if no edge is known."""

STEEPEST = 3500.0
"""cm⁻¹. Hardly any bond vibrates faster: a larger imaginary wavenumber indicates a cusp, where two
electronic states cross on a surface that keeps electrons paired."""

_NEAR = 0.25
"""Of the distance from a TS to its end. Ends that are one were at most 0.003 apart, those of the
Jahn–Teller rotation of CH3O 1.8."""

WORDS: Mapping[str, str] = {
    COMPLEX: "complex",
    NO_TS_KNOWN: "no TS known",
    LOOP: "loop",
    CUSP: "cusp",
    SAME_ENDS: "same ends",
    END_ABOVE: "end above",
}
"""Flags in words."""

MEANINGS: Mapping[str, str] = {
    CUSP: f"imaginary wavenumber above {STEEPEST:.0f}i: the surface may have a cusp there",
    SAME_ENDS: "both ends are the same structure with every atom in the same place: the path may "
    "be wrong, unless a part turns all the way round",
    END_ABOVE: "an end of the path lies more than 0.5 kJ/mol above the structure it was relaxed to",
}
"""The warnings behind flags."""


def flags_of(record: EQ | TS | DC) -> list[str]:
    """The flags of a record.

    ``complex`` for an EQ; ``no_ts_known`` for a DC; ``loop``, ``cusp``, ``same_ends`` and
    ``end_above`` for a TS.
    """
    if isinstance(record, EQ):
        return list(record.flags)
    if isinstance(record, DC):
        return [NO_TS_KNOWN] if record.no_ts_known else []
    found = {
        LOOP: record.ends[0] == record.ends[1],
        CUSP: record.imaginary_cm1 > STEEPEST,
        SAME_ENDS: _same_ends(record),
        END_ABOVE: "ends_above_kj_mol" in record.proof,
    }
    return [flag for flag, holds in found.items() if holds]


def in_words(flags: Iterable[str]) -> str:
    """Flags in words, on one line."""
    return ", ".join(WORDS.get(flag, flag) for flag in flags)


def plain_loop(molecule: Molecule, ts: TS) -> bool:
    """Whether a TS connects a structure with itself, without bond changes and without warnings.

    With bond changes it is a reaction, as the Cope rearrangement of 1,5-hexadiene.
    """
    return flags_of(ts) == [LOOP] and not reacting(molecule, ts)


def reacting(molecule: Molecule, ts: TS) -> bool:
    """Whether a bond is made or broken from one end of the path of a TS to the other."""
    first, last = (bonds(molecule, ts.irc_positions[end]) for end in (0, -1))
    return bonds_changed(first, last) > 0


def told(molecule: Molecule, tss: Iterable[TS], *, loops: bool = False) -> list[TS]:
    """The transition states that tables and drawings show.

    All with `loops`, else those that are no `plain_loop`, and all if there are no others.
    """
    every = list(tss)
    return every if loops else [ts for ts in every if not plain_loop(molecule, ts)] or every


def _same_ends(ts: TS) -> bool:
    """Whether both ends are the same atom arrangement of an EQ; channels have none.

    Distortions of one structure, as those of a Jahn–Teller radical, may be closer to each other
    than structures are told apart; then the ends are nowhere near each other on the scale of
    their path.
    """
    labels = ts.proof.get("labelled_ends")
    if not isinstance(labels, list) or len(labels) != 2:
        return False
    if labels[0] != labels[1] or Id(str(labels[0])).kind != "EQ":
        return False
    first, last = ts.irc_positions[0], ts.irc_positions[-1]
    return rmsd(first, last) < _NEAR * rmsd(first, ts.positions)
