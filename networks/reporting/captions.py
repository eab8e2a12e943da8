"""The texts in the drawings of a network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from afir.geometry.naming import names
from afir.pes.registry import described
from afir.units import KJ_PER_MOL
from networks.graph.flags import CUSP, SAME_ENDS, flags_of
from networks.graph.network import origin_alone
from networks.records.structures import DC, EQ, TS
from networks.reporting.run import Run, few_ids

_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def height(record: EQ | TS | DC, zero: EQ | DC) -> float:
    """kJ/mol relative to another structure."""
    return (record.energy - zero.energy) / KJ_PER_MOL


def title(run: Run) -> str:
    """The molecule and the surface with its options; its state unless a neutral singlet."""
    molecule = run.molecule
    state = f" ({molecule.state})" if molecule.state else ""
    return (
        f"{molecule.formula.translate(_SUBSCRIPTS)}{state} on {described(*run.settings.reported)}"
    )


def level_lines(run: Run, node: EQ | DC, zero: EQ | DC) -> list[str]:
    """The label of a level: id, structural formulas, kJ/mol above `zero`."""
    molecules = (" + " if isinstance(node, DC) else "···").join(
        (f"{count} " if count > 1 else "") + name.translate(_SUBSCRIPTS)
        for name, count in Counter(names(run.molecule, node.positions)).items()
    )
    return [node.id, molecules, _whole(height(node, zero))]


def list_label(run: Run, node: EQ | DC, zero: EQ | DC) -> str:
    """The label of a level in a list, in one line.

    That of a channel ends with the EQ that first reached it, if no known edge connects the two.
    """
    lines = level_lines(run, node, zero)
    if isinstance(node, DC) and origin_alone(run.network, node):
        lines.append(f"from {node.origin}")
    return "  ".join(lines)


def top_label(ts: TS, zero: EQ | DC) -> str:
    """The label of a transition state: its id with its marks, and kJ/mol above `zero`."""
    return f"{marked_id(ts)} {_whole(height(ts, zero))}"


def _whole(value: float) -> str:
    """The value rounded to a whole number, never −0, with a minus sign and no hyphen."""
    return f"{round(value):d}".replace("-", "−")


def known_so_far(run: Run) -> str:
    """The note on a route through the known part of a network."""
    if run.summary.complete.anything_left:
        return "lowest route known so far, the run is not finished"
    return "lowest route known"


def left_out(
    labels: Sequence[str], molecules: Sequence[str], *, energies: bool = False
) -> list[str]:
    """The note on what a drawing has no room for, and the remedy; none if all is there.

    Parameters
    ----------
    labels
        Ids without a label.
    molecules
        Ids whose label is without the molecules.
    energies
        Whether the labels of transition states are without energies.
    """
    lacking = {"labels": labels, "molecules": molecules}
    missing = [f"{what} of {few_ids(ids)}" for what, ids in lacking.items() if ids]
    missing += ["energies of transition states"] * energies
    return [f"no room for {', '.join(missing)}: try a larger --width"] if missing else []


MARKS = {CUSP: "*", SAME_ENDS: "?"}
"""The mark behind the id of a transition state with this flag."""


def marked_id(ts: TS) -> str:
    """The id of a transition state with its marks."""
    return ts.id + "".join(MARKS.get(flag, "") for flag in flags_of(ts))


def unconnected(run: Run, dc: DC) -> bool:
    """Whether neither a transition state nor a complex of the same molecules connects a channel."""
    return dc.no_ts_known and not run.network.joined_to(dc.id)
