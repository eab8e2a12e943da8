"""Maps by random search: which points count, how complete they are, and ``maps.json``.

A map is a dictionary with a list ``eq`` (energy in hartree, molecules, hits) and a list ``ts``
(energy, ends as positions in that list or null, hits).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from afir.units import HARTREE, KJ_PER_MOL

MAPS = Path(__file__).parent / "maps.json"
OFTEN = 3  # a reference point counts when the random search met it this many times
CORE = 500.0 * KJ_PER_MOL  # eV: points of one molecule below this are the core of a map

Points = list[dict[str, Any]]


def core(mapped: dict[str, Any]) -> tuple[Points, Points]:
    """The EQs and TSs of the core.

    That are the structures of a single molecule below 500 kJ/mol and the transition states
    between two of them.
    """
    top = min(eq["energy"] for eq in mapped["eq"]) + CORE / HARTREE
    whole = {i for i, eq in enumerate(mapped["eq"]) if "+" not in eq["molecules"]}
    eqs = [eq for i, eq in enumerate(mapped["eq"]) if i in whole and eq["energy"] <= top]
    return eqs, [ts for ts in mapped["ts"] if whole.issuperset(ts["ends"]) and ts["energy"] <= top]


def often(points: Sequence[dict[str, Any]]) -> Points:
    """Those that were met often enough to count."""
    return [point for point in points if point["hits"] >= OFTEN]


def unseen(points: Sequence[dict[str, Any]]) -> float:
    """How many more there are at least, from how many were met once and twice.

    Chao's estimate f₁(f₁ − 1) / 2(f₂ + 1) (10.2307/2531532).
    """
    hits = Counter(point["hits"] for point in points)
    return hits[1] * (hits[1] - 1) / (2 * (hits[2] + 1))


def summary(mapped: dict[str, Any]) -> str:
    """A map as ``random_map.py`` stores it: what came late, energies in kJ/mol and hits."""
    zero = min(eq["energy"] for eq in mapped["eq"])
    parts = [
        f"{mapped['starts']} starts, {mapped['gradients']} gradients, "
        f"{len(mapped['eq'])} EQ, {len(mapped['ts'])} TS"
    ]
    for label, points in zip(("EQ", "TS"), core(mapped), strict=True):
        late = sum(point["first"] > 2 * mapped["starts"] / 3 for point in points)
        shown = " ".join(
            f"{(point['energy'] - zero) * HARTREE / KJ_PER_MOL:.1f}({point['hits']})"
            for point in sorted(points, key=lambda point: float(point["energy"]))
        )
        parts.append(
            f"core {label}: {len(points)}, {len(often(points))} met {OFTEN} times, "
            f"{late} in the last third, {unseen(points):.1f} unseen: {shown}"
        )
    return "\n  ".join(parts)


def publish(name: str, group: str, mapped: dict[str, Any]) -> None:
    """Put a map into ``maps.json``, with its set and its lowest structure to start from."""
    maps = json.loads(MAPS.read_text(encoding="utf-8"))
    lowest = min(mapped["eq"], key=lambda eq: float(eq["energy"]))
    maps[name] = {
        "set": group,
        "start": {"numbers": mapped["numbers"], "positions": lowest["positions"]},
        "eq": [{key: eq[key] for key in ("energy", "molecules", "hits")} for eq in mapped["eq"]],
        "ts": [{key: ts[key] for key in ("energy", "ends", "hits")} for ts in mapped["ts"]],
    }
    texts = [f' "about": {json.dumps(maps.pop("about"), ensure_ascii=False)}']
    for key, entry in maps.items():
        lines = [f'  "{k}": {json.dumps(v)}' for k, v in entry.items() if k not in ("eq", "ts")]
        for kind in ("eq", "ts"):
            points = ",\n".join(f"   {json.dumps(point)}" for point in entry[kind])
            lines.append(f'  "{kind}": [\n{points}\n  ]')
        texts.append(f' "{key}": {{\n' + ",\n".join(lines) + "\n }")
    MAPS.write_text("{\n" + ",\n".join(texts) + "\n}\n", encoding="utf-8")
