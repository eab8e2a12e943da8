"""Element data: symbols, standard atomic weights and covalent radii."""

from __future__ import annotations

import numpy as np
from ase.data import atomic_masses, chemical_symbols
from numpy.typing import NDArray

SYMBOLS: tuple[str, ...] = tuple(chemical_symbols)
"""Element symbols by atomic number; index 0 is the dummy ``X``."""

MASSES: NDArray[np.float64] = np.asarray(atomic_masses, dtype=np.float64)
"""Standard atomic weights in amu by atomic number."""

# Pyykkö and Atsumi, single-bond radii in pm, H to Og (10.1002/chem.200800987).
_PYYKKO_PM = """
 32  46
133 102  85  75  71  63  64  67
155 139 126 116 111 103  99  96
196 171 148 136 134 122 119 116 111 110 112 118 124 121 121 116 114 117
210 185 163 154 147 138 128 125 125 120 128 136 142 140 140 136 133 131
232 196 180 163 176 174 173 172 168 169 168 167 166 165 164 170 162
152 146 137 131 129 122 123 124 133 144 144 151 145 147 142
223 201 186 175 169 170 171 172 166 166 168 168 165 167 173 176 161
157 149 143 141 134 129 128 121 122 136 143 162 175 165 157
"""

RADII: NDArray[np.float64] = np.array([np.nan] + [float(pm) / 100 for pm in _PYYKKO_PM.split()])
"""Single-bond covalent radii in Å by atomic number."""
