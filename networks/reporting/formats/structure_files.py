"""The formats ``extxyz`` and ``ase-db``: all structures of a network, for ASE."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from afir.io.printable import printable
from afir.io.structures import xyz_text
from afir.units import KJ_PER_MOL
from networks.graph.flags import flags_of
from networks.records.structures import DC, EQ, TS
from networks.reporting.export import ExportFormat
from networks.reporting.run import Run, zero_of


def _structures(run: Run) -> list[tuple[EQ | TS | DC, dict[str, str | int | float]]]:
    """All structures, each with its attributes as plain values that ASE accepts."""
    network = run.network
    found: list[tuple[EQ | TS | DC, dict[str, str | int | float]]] = []
    records: list[EQ | TS | DC] = [
        *network.eqs.values(),
        *network.tss.values(),
        *network.dcs.values(),
    ]
    for record in records:
        facts: dict[str, str | int | float] = {
            "kind": record.id.kind,
            "relative_kj_mol": (record.energy - zero_of(network)) / KJ_PER_MOL,
        }
        if isinstance(record, TS):
            facts |= {
                "first": str(record.ends[0]),
                "second": str(record.ends[1]),
                "imaginary_cm1": float(record.imaginary_cm1),
            }
        if flags_of(record):
            facts["flags"] = printable(" ".join(flags_of(record)))
        found.append((record, facts))
    return found


def _extxyz(run: Run, files: list[Path]) -> None:
    structures = _structures(run)
    text = xyz_text(
        run.molecule,
        [record.positions for record, _ in structures],
        energies=[record.energy for record, _ in structures],
        labels=[{"id": str(record.id), **facts} for record, facts in structures],
    )
    files[0].write_text(text, encoding="utf-8")


def _ase_db(run: Run, files: list[Path]) -> None:
    from ase import Atoms  # takes 0.2 s, so only here
    from ase.calculators.singlepoint import SinglePointCalculator
    from ase.db import connect

    try:
        # No lock file: no other process knows the new file, and ASE waits forever for a stale lock.
        with connect(files[0], type="db", use_lock_file=False) as database:
            for record, facts in _structures(run):
                atoms = Atoms(list(run.molecule.symbols), positions=record.positions)
                atoms.calc = SinglePointCalculator(atoms, energy=record.energy)
                data = {}
                if not isinstance(record, DC):
                    data["wavenumbers"] = record.wavenumbers
                database.write(
                    atoms,
                    key_value_pairs=facts
                    | {
                        "node": str(record.id),  # ASE keeps the name id for itself
                        "total_charge": run.molecule.charge,
                        "multiplicity": run.molecule.multiplicity,
                    },
                    data=data,
                )
    except sqlite3.Error as error:
        raise OSError(str(error)) from error


EXTXYZ = ExportFormat(_extxyz, suffixes=(".extxyz", ".xyz"))
"""The format ``extxyz``."""

ASE_DB = ExportFormat(_ase_db, suffixes=(".db",))
"""The format ``ase-db``."""
