"""What is written in the drawings of a network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from afir.units import KJ_PER_MOL
from networks.network import fragments
from networks.records import COMPLEX, DC, EQ, TS
from networks.report import Run, zero_of

_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def height(run: Run, record: EQ | TS | DC) -> float:
    """kJ/mol relative to the lowest EQ."""
    return (record.energy - zero_of(run.network)) / KJ_PER_MOL


def title(run: Run) -> str:
    """The molecule and the surface; charge and multiplicity unless a neutral singlet."""
    molecule = run.molecule
    state = ""
    if molecule.charge or molecule.multiplicity != 1:
        state = f" (charge {molecule.charge:+d}, multiplicity {molecule.multiplicity})"
    return f"{molecule.formula.translate(_SUBSCRIPTS)}{state} on {run.settings.surface}"


def level_lines(run: Run, node: EQ | DC) -> list[str]:
    """What stands at a level: id, the molecules unless it is one, kJ/mol, where a channel is from.

    A channel says where it was first reached from when no known transition state leads to it.
    """
    energy = f"{height(run, node):.0f}"
    if isinstance(node, DC):
        lines = [node.id, _joined(node.fragments, " + "), energy]
        return [*lines, f"from {node.origin}"] if node.no_ts_known else lines
    if COMPLEX in node.flags:
        return [node.id, _joined(fragments(run.molecule, node.positions), "···"), energy]
    return [node.id, energy]


def _joined(parts: Sequence[str], sign: str) -> str:
    """Molecules in one line, e.g. ``CO + 2 H``."""
    return sign.join(
        (f"{count} " if count > 1 else "") + formula.translate(_SUBSCRIPTS)
        for formula, count in Counter(parts).items()
    )
