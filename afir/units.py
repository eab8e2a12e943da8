"""The project's only unit conversions.

Inside the code every energy is in eV, every length in Å, every mass in amu and every
gradient in eV/Å. Other units appear only at the interfaces: kJ/mol in reports, hartree and
bohr for the electronic-structure libraries, cm⁻¹ for vibrations.

The hartree and the bohr are the CODATA 2018 values.
"""

from __future__ import annotations

import math

# Natural constants: CODATA 2018.

HARTREE: float = 27.211386245988
"""One hartree in eV."""

BOHR: float = 0.529177210903
"""One bohr in Å."""

KJ_PER_MOL: float = HARTREE / 2625.4996394799
"""One kJ/mol in eV (per particle)."""

KCAL_PER_MOL: float = 4.184 * KJ_PER_MOL
"""One kcal/mol in eV (per particle)."""

HARTREE_PER_BOHR: float = HARTREE / BOHR
"""One hartree/bohr in eV/Å."""

AMU_TO_ELECTRON_MASS: float = 1822.888486209
"""One amu in electron masses."""

BOLTZMANN: float = 8.617333262145e-5
"""The Boltzmann constant in eV/K."""

_HARTREE_TO_CM1: float = 219474.6313632

WAVENUMBER: float = math.sqrt(1.0 / (HARTREE / BOHR**2) / AMU_TO_ELECTRON_MASS) * _HARTREE_TO_CM1
"""cm⁻¹ for the square root of one eV/Å²/amu: ν = WAVENUMBER·√λ."""
